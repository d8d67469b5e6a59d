#!/bin/bash
# The image's entry point: an empty data folder becomes a database cluster as POSTGRES_* ask, then the server runs.
set -o errexit -o errtrace -o nounset -o pipefail

# Sets $1 from the file that $1_FILE names, or to the default $2.
file_env() {
  local file=$1_FILE
  if [[ -n ${!1-} && -n ${!file-} ]]; then
    echo "$1 and $file exclude each other: set one of them" >&2
    exit 1
  fi
  if [[ -n ${!file-} ]]; then
    export "$1=$(<"${!file}")"
  else
    export "$1=${!1:-${2-}}"
  fi
  unset "$file"
}

# psql on the local socket, as scripts in /docker-entrypoint-initdb.d may use it.
docker_process_sql() {
  local database=()
  [[ -z $POSTGRES_DB ]] || database=(--dbname "$POSTGRES_DB")
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc \
    "${database[@]}" "$@"
}

make_folders() {
  mkdir -p "$PGDATA" "${POSTGRES_INITDB_WALDIR:-$PGDATA}" /var/run/postgresql
  # A volume may refuse; PostgreSQL itself says so then if it matters.
  chmod 0700 "$PGDATA" "${POSTGRES_INITDB_WALDIR:-$PGDATA}" 2>/dev/null || true
  chmod 3775 /var/run/postgresql 2>/dev/null || true
  if [[ $EUID -eq 0 ]]; then
    find "$PGDATA" "${POSTGRES_INITDB_WALDIR:-$PGDATA}" /var/run/postgresql ! -user postgres \
      -exec chown postgres '{}' +
  fi
}

initialize() {
  local arguments=() names
  # Words with quotes, as on a command line, but nothing is expanded.
  mapfile -t arguments < <(xargs -r -n1 printf '%s\n' <<<"$POSTGRES_INITDB_ARGS")
  [[ -z ${POSTGRES_INITDB_WALDIR-} ]] || arguments+=(--waldir "$POSTGRES_INITDB_WALDIR")
  if ! getent passwd "$EUID" >/dev/null; then
    # initdb wants a name for its user id.
    names=$(mktemp -d)
    echo "postgres:x:$EUID:$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$names/passwd"
    echo "postgres:x:$(id -g):" >"$names/group"
    export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=$names/passwd NSS_WRAPPER_GROUP=$names/group
  fi
  # Everything is synced once, when all of it is written.
  initdb --no-sync --username "$POSTGRES_USER" --pwfile <(echo "$POSTGRES_PASSWORD") "${arguments[@]}"
  if [[ -n ${names-} ]]; then
    rm -r "$names"
    unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
  fi
}

allow_hosts() {
  : "${POSTGRES_HOST_AUTH_METHOD:=$(postgres -C password_encryption "$@")}"
  {
    echo
    if [[ $POSTGRES_HOST_AUTH_METHOD == trust ]]; then
      echo "# every connection is trusted"
    fi
    echo "host all all all $POSTGRES_HOST_AUTH_METHOD"
  } >>"$PGDATA/pg_hba.conf"
}

# A server that nobody but this script reaches, for the databases and scripts to begin with.
start_private_server() {
  NOTIFY_SOCKET='' postgres "$@" -c listen_addresses= -c fsync=off -p "${PGPORT:-5432}" &
  private_server=$!
  trap 'kill -INT "$private_server"' EXIT # a script that fails ends all of it
  until PGHOST='' PGHOSTADDR='' pg_isready --quiet --username "$POSTGRES_USER" --dbname postgres; do
    kill -0 "$private_server" 2>/dev/null
    sleep 0.02
  done
}

stop_private_server() {
  kill -INT "$private_server"
  wait "$private_server"
  trap - EXIT
  initdb --sync-only --pgdata "$PGDATA"
}

make_database() {
  local found
  found=$(POSTGRES_DB='' docker_process_sql --dbname postgres --set name="$POSTGRES_DB" --tuples-only \
    <<<"SELECT 1 FROM pg_database WHERE datname = :'name'")
  if [[ -z $found ]]; then
    POSTGRES_DB='' docker_process_sql --dbname postgres --set name="$POSTGRES_DB" <<<'CREATE DATABASE :"name"'
  fi
}

run_scripts() {
  local script
  psql=(docker_process_sql) # what scripts that are sourced may call
  for script in /docker-entrypoint-initdb.d/*; do
    echo "$0: $script"
    case $script in
      *.sh) if [[ -x $script ]]; then "$script"; else . "$script"; fi ;;
      *.sql) docker_process_sql --file "$script" ;;
      *.sql.gz) gunzip --stdout "$script" | docker_process_sql ;;
      *.sql.xz) xzcat "$script" | docker_process_sql ;;
      *.sql.zst) zstd --decompress --stdout "$script" | docker_process_sql ;;
      *) echo "$0: ignored $script" ;;
    esac
  done
}

only_tells_something() {
  local argument
  for argument in "$@"; do
    case $argument in
      '-?' | --help | --describe-config | -V | --version) return 0 ;;
    esac
  done
  return 1
}

main() {
  if [[ ${1-} == -* ]]; then
    set -- postgres "$@"
  fi
  if [[ ${1-} == postgres ]] && ! only_tells_something "$@"; then
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS
    make_folders
    if [[ $EUID -eq 0 ]]; then
      exec gosu postgres "$0" "$@"
    fi
    if [[ -s $PGDATA/PG_VERSION ]]; then
      echo "PostgreSQL finds its database in $PGDATA"
    else
      if [[ -z $POSTGRES_PASSWORD && ${POSTGRES_HOST_AUTH_METHOD-} != trust ]]; then
        echo "The database is empty and its superuser has no password: set POSTGRES_PASSWORD." >&2
        echo "(POSTGRES_HOST_AUTH_METHOD=trust lets everybody in without one.)" >&2
        exit 1
      fi
      ls /docker-entrypoint-initdb.d >/dev/null # fails now rather than half way
      initialize
      allow_hosts "${@:2}"
      export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
      start_private_server "${@:2}"
      make_database
      shopt -s nullglob
      run_scripts
      shopt -u nullglob
      stop_private_server
      unset PGPASSWORD
      echo "PostgreSQL init process complete; ready for start up."
    fi
  fi
  exec "$@"
}

# Scripts may source this file for its functions.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  main "$@"
fi
