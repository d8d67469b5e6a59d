# Runs in the finished image: the entry point starts a server, and a record goes through it. -Xshare:on makes a JVM
# refuse to start when its archive does not hold.
set -o errexit -o nounset -o pipefail

bin=/opt/kafka/bin
export KAFKA_HEAP_OPTS=-Xmx256m
small="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
KAFKA_JVM_PERFORMANCE_OPTS=$small KAFKA_OPTS=-Xshare:on /etc/kafka/docker/run &
server=$!
until (: <>/dev/tcp/localhost/9092) 2>/dev/null; do
  kill -0 "$server" 2>/dev/null
  sleep 0.1
done

export KAFKA_JVM_PERFORMANCE_OPTS=$small
client=(--bootstrap-server localhost:9092 --topic proof)
echo hello | "$bin/kafka-console-producer.sh" "${client[@]}"
[[ $("$bin/kafka-console-consumer.sh" "${client[@]}" --from-beginning --max-messages 1 --timeout-ms 30000) == hello ]]
kill -TERM "$server"
wait "$server" || [[ $? -eq 143 ]]
