"""Redis, the only state that processes share: the queue, jobs and their symbols, snapshots, workers.

Jobs are spread over shards: 32 queues in a cluster, elsewhere one. All keys of a shard have one hash tag, each script
stays within a shard, and the first two digits of a job's id name its shard (connection.py knows its server).

Keys, all with the prefix ``ancestral:`` and the tag of their shard, except for sessions and seeds (job.py); of each its
type, how long it is kept, and what it is. What is kept *with the job* is kept for two days until the job ends, and then
for its retention; while the job is suspended for its retention, or an hour from its reader's last sign of life. Sets
and lists that are kept *while in use* have no time to live: they are gone when they are empty.

    job:ID             hash, with the job, but with an idempotency key for a day at least: the record (job.py), and
                       order, attempt, worker, probe, claim, claimed_at, read, wanted, suspended, ended_by, content
                       (what is known of the file) and timings:N, when the phonemes of sentence N are said
    stream:ID          stream, with the job: the symbols, or the sound made of them; ids are positions; the last entry
                       is the end mark
    events:ID          stream, with the job: what happened to the job, for clients; ids are positions, too
    snapshot:ID        string, with the job until it ends: the sampler's state after some of the symbols
    input:ID           string, with the job until it ends, but a minute before there is one: what was uploaded with it
    ingredient:ID      string, with the job, but a minute before there is one: the C2PA manifest of what was uploaded
    content:ID         string, as long as the stream or, without one, the job: the finished file
    draft:ID:TOKEN     string, a minute from the last write: the file while it is written
    drafting:ID        string, 15 s from the last write: there while somebody writes the file
    waiting:PRIORITY   sorted set, while in use: waiting jobs by order of arrival
    running:PRIORITY   sorted set, while in use: leased jobs by the end of the lease, in seconds of Redis's clock
    idle:PRIORITY      sorted set, two days: workers that found nothing to do, by the time since when; one is woken for
                       each job
    claimed:PRIORITY:WORKER  string, two days: the worker's last claim, and the job that it got
    reclaimed:PRIORITY string, a minute: when a worker last looked for expired leases
    durations:PRIORITY list, for ever: seconds that the last 32 jobs ran
    jobs:OWNER         sorted set, two days, or as long as the job that is kept the longest: an owner's last 10 000
                       jobs by creation
    unfinished:OWNER   sorted set, two days: those that have not ended
    counter            string, for ever: the order of the job that arrived last
    owners             set, two days: those who may have unfinished jobs
    idempotency:OWNER:KEY  string, a day: the job that was submitted with an idempotency key, and its request's hash
    session:ID         hash, ANCESTRAL_STREAM_SECONDS after its connection: a websocket session: owner, holder (the
                       connection that has it), state; of one that has ended the holder, for a minute
    rate:…             list, a minute: requests of a caller, by the package `limits`
    seeds              string, for ever: counters of seeds that were drawn from the deployment's provenance key
    control:WORKER     channel: what clients want of the jobs that a worker runs, and that a job waits for it
    enrolled           sorted set, while in use: in the first shard of a cluster, the names of all workers
    enrolled_until     sorted set, while in use: when each of these counts as dead
    workers            sorted set, 6 s: its workers by the time at which they count as dead
    worker_info        hash, 6 s: their descriptions
    capacity           hash, 6 s: of each kind of worker how many there are, and their slots: all that others read

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
