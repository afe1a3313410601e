"""How events come in beside Kafka: files, producers, the simulator."""
