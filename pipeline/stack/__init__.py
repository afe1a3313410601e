"""The embedded stack: Apache Kafka and ClickHouse's engine on this machine."""
