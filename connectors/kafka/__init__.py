"""Apache Kafka (4.1 or newer): as many workers as there are partitions, exactly once.

Guarantee: exactly once. Outputs, offsets and the strategy's state are committed in one transaction a micro-batch
(KIP-98), and a worker that lost its partitions is refused by the group's coordinator (KIP-447). Readers must
read committed records only (``isolation.level=read_committed``).

Needs the ``kafka`` extra. Import from the modules: `worker` (the worker), `topics` (making and checking them),
`verify` (running everything again), `relay` (people who answer away from the topics), `client` (connections).
"""
