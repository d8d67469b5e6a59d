# Runs in the finished image: every runtime loads its libraries.
set -o errexit -o nounset -o pipefail

python3 -c 'import aiokafka, asyncpg, confluent_kafka, psycopg, sqlalchemy'
node -e 'require("kafkajs"); require("pg"); require("@prisma/adapter-pg")'
java -version
