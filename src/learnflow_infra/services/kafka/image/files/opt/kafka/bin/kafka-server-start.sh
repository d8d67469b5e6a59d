#!/bin/bash
# Starts a broker or controller: kafka-server-start.sh [-daemon] server.properties [--override NAME=VALUE]...
set -o errexit -o nounset

bin=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ $# -eq 0 ]]; then
  echo "usage: $0 [-daemon] server.properties [--override NAME=VALUE]..." >&2
  exit 1
fi
options=${EXTRA_ARGS--name kafkaServer -loggc}
if [[ $1 == -daemon ]]; then
  options="-daemon $options"
  shift
fi
export KAFKA_HEAP_OPTS=${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}
export KAFKA_LOG4J_OPTS=${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=$bin/../config/log4j2.yaml}
exec "$bin/kafka-run-class.sh" $options kafka.Kafka "$@"
