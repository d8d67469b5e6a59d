"""Apache Kafka and PostgreSQL in a developer's Kubernetes, deployed and proved."""
