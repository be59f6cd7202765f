"""Redis, the only state that processes share: the queue, jobs and their symbols, snapshots, workers.

Jobs are spread over shards: 32 queues in a cluster, elsewhere one. All keys of a shard have one hash tag, each script
stays within a shard, and the first two digits of a job's id name its shard (connection.py knows its server).

Keys, all with the prefix ``ancestral:`` and the tag of their shard, except for sessions (job.py)

    job:ID             hash: the record (job.py), and order, attempt, worker, probe, claim, read, wanted, suspended,
                       content (what is known of the file) and timings:N, when the phonemes of sentence N are said
    stream:ID          stream: the symbols, or the sound made of them; ids are positions; the last entry is the end mark
    events:ID          stream: what happened to the job, for clients; ids are positions, too
    snapshot:ID        string: the sampler's state after some of the symbols
    input:ID           string: what was uploaded with the job; ingredient:ID the C2PA manifest that it had
    content:ID         string: the finished file; draft:ID:TOKEN while it is written; drafting:ID while somebody does
    waiting:PRIORITY   sorted set: waiting jobs by order of arrival
    running:PRIORITY   sorted set: leased jobs by the end of the lease, in seconds of Redis's clock
    idle:PRIORITY      sorted set: workers that found nothing to do, by the time since when; one is woken for each job
    claimed:PRIORITY:WORKER  string: the worker's last claim, and the job that it got
    reclaimed:PRIORITY string: when a worker last looked for expired leases
    durations:PRIORITY list: seconds that the last 32 jobs ran
    jobs:OWNER         sorted set: an owner's jobs by creation; unfinished:OWNER those that have not ended
    counter            the order of the job that arrived last; owners: those who may have unfinished jobs
    idempotency:OWNER:KEY  string: the job that was submitted with an idempotency key, and the hash of its request
    session:ID         hash: a websocket session: owner, holder (the connection that has it), state
    rate:…             requests of a caller in the last minute, by the package `limits`
    control:WORKER     channel: what clients want of the jobs that a worker runs, and that a job waits for it
    enrolled           sorted set: the names of all workers; enrolled_until: when they count as dead; in the first shard
    workers            sorted set: its workers by the time at which they count as dead; worker_info: their descriptions;
                       capacity: of each kind of worker how many there are, and their slots: all that others read

The life of a job

    submit    checks the owner's limit and the room in the queue, writes the record, puts the job into ``waiting``
    claim     (a worker is woken by a message, or looks once a second) moves it to ``running`` with a lease of 5 s, and
              begins an attempt. Its number is the fencing token: what an earlier attempt publishes, renews, releases or
              ends has no effect
    renew     extends the lease, every 1.5 s, while the worker runs the job
    publish   appends samples, with a snapshot about every second of sound
    release   (the worker stops, or the client disconnected) back to ``waiting`` at its old place, or suspended
    reclaim   (the worker died, its lease expired) the same, and counts a death; after three in a row without progress
              the job fails. A job whose next death would be the last runs beside no other such job of the same worker
    park      its client reads too slowly while others wait: suspended until it has read what there is
    suspend   no client listens: out of the queue, with its snapshot, until it expires or resume puts it back
    end       completed, failed or cancelled, once; it leaves every set, its record stays for the retention time

Each of these is one Lua script, so a process that dies between two of them leaves nothing half done. While Redis is
unavailable, everybody waits; leases that could not be renewed meanwhile are extended (``EXPIRED`` in queue_scripts.py).
Records are JSON, symbols raw bytes; no pickle.

A process has one ``Connection`` (connection.py). API processes use it through ``Clients`` (clients.py), workers through
``Workers`` (workers.py), which gives them a ``Lease`` of each job that they run.
"""
