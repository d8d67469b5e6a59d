#!/bin/bash
# Runs a class of Kafka: kafka-run-class.sh [-daemon] [-name NAME] [-loggc] CLASS [ARGUMENT...]
set -o errexit -o nounset

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=${LOG_DIR:-$home/logs}
daemon='' name=kafka gc=${KAFKA_GC_LOG_OPTS-}

while [[ $# -gt 0 ]]; do
  case $1 in
    -daemon) daemon=yes; shift ;;
    -name) name=$2; shift 2 ;;
    -loggc) : "${gc:=-Xlog:gc*:file=$logs/$name-gc.log:time,tags:filecount=10,filesize=100M}"; shift ;;
    *) break ;;
  esac
done
if [[ $# -eq 0 ]]; then
  echo "usage: $0 [-daemon] [-name NAME] [-loggc] CLASS [ARGUMENT...]" >&2
  exit 1
fi

# The archives of loaded classes hold for exactly this class path: same jars, same order.
jars=("$home"/libs/*.jar)
classpath=${CLASSPATH:+$CLASSPATH:}$(IFS=:; echo "${jars[*]}")

performance=${KAFKA_JVM_PERFORMANCE_OPTS:--server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
  -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true}
case $performance in
  *SharedArchiveFile=* | *ArchiveClassesAtExit=*) ;;
  *)
    archive=kafka
    [[ $1 == *StorageTool || $1 == *KafkaDockerWrapper ]] && archive=storage
    performance+=" -XX:SharedArchiveFile=$home/$archive.jsa"
    ;;
esac

jmx=${KAFKA_JMX_OPTS-}
if [[ -n ${JMX_PORT-} ]]; then
  : "${jmx:=-Dcom.sun.management.jmxremote.authenticate=false -Dcom.sun.management.jmxremote.ssl=false}"
  jmx+=" -Dcom.sun.management.jmxremote.port=$JMX_PORT"
  [[ $jmx == *jmxremote.rmi.port=* ]] || jmx+=" -Dcom.sun.management.jmxremote.rmi.port=$JMX_PORT"
fi

if [[ -n ${KAFKA_LOG4J_OPTS-} ]]; then
  mkdir -p "$logs"
else
  KAFKA_LOG4J_OPTS="-Dlog4j2.configurationFile=$home/config/tools-log4j2.yaml"
fi

debug=''
if [[ -n ${KAFKA_DEBUG-} ]]; then
  debug=${JAVA_DEBUG_OPTS:--agentlib:jdwp=transport=dt_socket,server=y,suspend=${DEBUG_SUSPEND_FLAG:-n},address=${JAVA_DEBUG_PORT:-5005}}
fi

# Options are lists of words by contract, hence unquoted.
java=("${JAVA_HOME:+$JAVA_HOME/bin/}java" ${KAFKA_HEAP_OPTS:--Xmx256M} $performance $gc $jmx
  "-Dkafka.logs.dir=$logs" $KAFKA_LOG4J_OPTS -cp "$classpath" $debug ${KAFKA_OPTS-} "$@")
if [[ -n $daemon ]]; then
  nohup "${java[@]}" >"$logs/$name.out" 2>&1 </dev/null &
else
  exec "${java[@]}"
fi
