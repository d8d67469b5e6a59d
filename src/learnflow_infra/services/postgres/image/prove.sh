# Runs in the finished image, as root: the entry point steps down, makes a database, runs a script, and a person logs
# in with the password through an address that is not loopback, where PostgreSQL asks nobody.
set -o errexit -o nounset -o pipefail

echo 'CREATE TABLE proof AS SELECT 42 AS answer' >/docker-entrypoint-initdb.d/proof.sql
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
POSTGRES_DB=proof POSTGRES_PASSWORD=$password docker-entrypoint.sh postgres &
server=$!
until pg_isready --quiet --host 127.0.0.1; do
  kill -0 "$server" 2>/dev/null
  sleep 0.05
done
[[ $(PGPASSWORD=$password psql --host 192.0.2.1 --username postgres --dbname proof -Atc 'TABLE proof') == 42 ]]
if PGPASSWORD=wrong psql --host 192.0.2.1 --username postgres --dbname proof -c '' 2>/dev/null; then
  echo "a wrong password was accepted" >&2
  exit 1
fi
kill -INT "$server"
wait "$server"
