# Runs in the finished image: a server takes a value and gives it back.
set -o errexit -o nounset -o pipefail

valkey-server --port 6379 --bind 127.0.0.1 --dir /tmp &
server=$!
until [[ $(valkey-cli ping 2>/dev/null) == PONG ]]; do
  kill -0 "$server"
  sleep 0.05
done
[[ $(valkey-cli set proof 42) == OK ]]
[[ $(valkey-cli get proof) == 42 ]]
valkey-cli shutdown nosave
wait "$server"
