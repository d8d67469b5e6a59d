# Runs in the image's own root while it is built: formats storage, starts a broker and serves clients, so that the
# classes met on the way are archived (-XX:ArchiveClassesAtExit) for the very JVM and class path that will load them.
# What is not met is loaded from the jars: a third slower.
set -o errexit -o nounset -o pipefail

bin=/opt/kafka/bin
export LOG_DIR=/tmp/logs KAFKA_HEAP_OPTS=-Xmx256m
small=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1)

mkdir /tmp/config
CLUSTER_ID=cmVoZWFyc2FsLTAwMDAwMA \
  KAFKA_JVM_PERFORMANCE_OPTS="${small[*]} -XX:ArchiveClassesAtExit=/opt/kafka/storage.jsa" \
  "$bin/kafka-run-class.sh" kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \
  --mounted-configs-dir /rehearsal --final-configs-dir /tmp/config

# What formatting writes beside the ids, for volumes that are formatted without it.
cp /tmp/kraft-combined-logs/bootstrap.checkpoint /opt/kafka/

KAFKA_JVM_PERFORMANCE_OPTS="${small[*]} -XX:ArchiveClassesAtExit=/opt/kafka/kafka.jsa" \
  "$bin/kafka-server-start.sh" /tmp/config/server.properties &
server=$!
until (: <>/dev/tcp/localhost/9092) 2>/dev/null; do
  kill -0 "$server" 2>/dev/null
  sleep 0.1
done

export KAFKA_JVM_PERFORMANCE_OPTS="${small[*]} -XX:SharedArchiveFile=/opt/kafka/storage.jsa"
node=(--bootstrap-server localhost:9091 --command-config /rehearsal/node.properties)
"$bin/kafka-configs.sh" "${node[@]}" --alter --entity-type users --entity-name someone \
  --add-config 'SCRAM-SHA-512=[password=rehearsal]'
"$bin/kafka-acls.sh" "${node[@]}" --add --allow-principal User:someone --operation All \
  --topic rehearsal --group rehearsal --resource-pattern-type prefixed
user=(--bootstrap-server localhost:9092 --command-config /rehearsal/user.properties --topic rehearsal)
"$bin/kafka-topics.sh" "${user[@]}" --create
echo hello | "$bin/kafka-console-producer.sh" "${user[@]}"
[[ $("$bin/kafka-console-consumer.sh" "${user[@]}" --group rehearsal --from-beginning --max-messages 1 \
  --timeout-ms 30000) == hello ]]
"$bin/kafka-topics.sh" "${user[@]}" --delete
# A certificate that was renewed is read again.
"$bin/kafka-configs.sh" "${node[@]}" --alter --entity-type brokers --entity-name 1 \
  --add-config listener.name.client.ssl.keystore.location=/rehearsal/tls.pem

kill -TERM "$server"
wait "$server" || [[ $? -eq 143 ]]
[[ -s /opt/kafka/storage.jsa && -s /opt/kafka/kafka.jsa ]]
