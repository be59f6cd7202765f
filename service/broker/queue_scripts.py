"""Lua scripts of the queue: what has to happen atomically inside Redis when a job is submitted, leased, and ended.

Values in a job's record (a hash) are JSON, so a status reads ``"queued"``, with its quotes. Leases are measured by
Redis's own clock, because the clocks of two machines may differ.
"""

from __future__ import annotations

from typing import Final

from ancestral.service.broker.scripts import ADD_EVENT

SUBMIT: Final = (
    ADD_EVENT
    + """
-- KEYS: job, waiting, running, owner's jobs, counter, events, owner's unfinished jobs, owners, wake
-- ARGV: id, room, created_at, seconds to live, owner's limit (0: none), owner, then the record's fields and values
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end  -- submitted before, and the reply got lost
local unfinished = redis.call('ZCOUNT', KEYS[7], ARGV[3] - ARGV[4], '+inf')
if tonumber(ARGV[5]) > 0 and unfinished >= tonumber(ARGV[5]) then return -1 end
if redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[2]) then return 0 end
local order = redis.call('INCR', KEYS[5])
redis.call('HSET', KEYS[1], 'order', order, unpack(ARGV, 7))
redis.call('ZADD', KEYS[2], order, ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -10001)
add_event(KEYS[6], KEYS[1], 'job.queued')
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', ARGV[3] - ARGV[4])
redis.call('ZADD', KEYS[7], ARGV[3], ARGV[1])
redis.call('SADD', KEYS[8], ARGV[6])
redis.call('RPUSH', KEYS[9], 1)
redis.call('LTRIM', KEYS[9], 0, redis.call('ZCARD', KEYS[2]) - 1)  -- jobs that were cancelled have left theirs
for _, i in ipairs({1, 4, 6, 7, 8, 9}) do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
return 1
"""
)
"""Put a job into its queue. 1; 0 if the queue is full, -1 if the owner has too many unfinished jobs."""

CLAIM: Final = (
    ADD_EVENT
    + """
-- KEYS: waiting, wake, running of this priority, running of the others
-- ARGV: prefix, worker, claim, whether its reply got lost before (0 | 1), now, seconds of the lease, seconds to live,
--       deaths from which a job runs alone, then id, sha256 (both as JSON) and engine of each model
local function record(id) return ARGV[1] .. 'job:' .. id end
local function runs_alone(deaths) return tonumber(deaths or 0) >= tonumber(ARGV[8]) end
local function busy_with_one_that_runs_alone()
    for i = 3, #KEYS do
        for _, id in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do
            local found = redis.call('HMGET', record(id), 'worker', 'deaths')
            if found[1] == ARGV[2] and runs_alone(found[2]) then return true end
        end
    end
    return false
end
local function claimed_before()
    if ARGV[4] == '0' then return nil end
    for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
        if redis.call('HGET', record(id), 'claim') == ARGV[3] then return id end
    end
end
local function first_in_line()
    local rank = 0
    while true do
        local id = redis.call('ZRANGE', KEYS[1], rank, rank)[1]
        if not id then
            if rank == 0 then redis.call('DEL', KEYS[2]) end
            return nil
        end
        local found = redis.call('HMGET', record(id), 'status', 'deaths')
        if found[1] ~= '"queued"' then  -- its record has expired
            redis.call('ZREM', KEYS[1], id)
        elseif runs_alone(found[2]) and busy_with_one_that_runs_alone() then
            rank = rank + 1
        else
            return id
        end
    end
end
local id = claimed_before()
if not id then
    id = first_in_line()
    if not id then return false end
    local time = redis.call('TIME')
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZADD', KEYS[3], time[1] + time[2] / 1e6 + ARGV[6], id)
    redis.call('HSET', record(id), 'worker', ARGV[2], 'claim', ARGV[3])
    redis.call('HINCRBY', record(id), 'attempt', 1)
end
local job = redis.call('HMGET', record(id), 'attempt', 'status', 'model', 'sha256', 'samples_done', 'engine')
local refused, engine = 'model_changed', nil
for i = 9, #ARGV, 3 do
    if ARGV[i] == job[3] and ARGV[i + 1] == job[4] then refused, engine = '', ARGV[i + 2] end
end
if engine and job[5] ~= '0' and job[6] ~= cjson.encode(engine) then refused = 'engine_changed' end
if refused == '' and job[2] == '"queued"' then
    redis.call('HSET', record(id), 'status', '"in_progress"', 'engine', cjson.encode(engine))
    redis.call('HSETNX', record(id), 'started_at', ARGV[5])
    add_event(ARGV[1] .. 'events:' .. id, record(id), 'job.in_progress')
    local stream, sha256 = ARGV[1] .. 'stream:' .. id, cjson.decode(job[4])
    redis.call('XADD', stream, '*', 'k', 'begin', 'attempt', job[1], 'engine', engine, 'sha256', sha256)
    redis.call('EXPIRE', stream, ARGV[7])
end
return {tonumber(job[1]), refused, redis.call('HGETALL', record(id))}
"""
)
"""Lease the job that has waited longest to a worker and begin an attempt at it: the attempt's number, why this worker
cannot run it or '', and the record. Nothing if no job waits that this worker may run now: a job whose last workers died
runs on no worker beside another one of these."""

RENEW: Final = """
-- KEYS: job, running; ARGV: id, attempt, seconds of the lease
local found = redis.call('HMGET', KEYS[1], 'attempt', 'status', 'read', 'wanted')
if found[1] == ARGV[2] and redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[2], time[1] + time[2] / 1e6 + ARGV[3], ARGV[1])
end
return found
"""
"""Renew the lease of an attempt, if it still has it, and read the signals for its worker."""

RELEASE: Final = """
-- KEYS: job, running, waiting, owner's unfinished jobs, wake, then all else of the job
-- ARGV: id, attempt, seconds to keep, deaths after which it is given up (0: its worker is alive, and releases it),
--       seconds that the worker which finds that the job must fail has to end it
local deadline = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not deadline or redis.call('HGET', KEYS[1], 'attempt') ~= ARGV[2] then return 0 end
if tonumber(ARGV[4]) > 0 then
    local time = redis.call('TIME')
    if tonumber(deadline) > time[1] + time[2] / 1e6 then return 0 end  -- renewed meanwhile
    if redis.call('HGET', KEYS[1], 'status') == '"in_progress"'
        and redis.call('HINCRBY', KEYS[1], 'deaths', 1) >= tonumber(ARGV[4]) then
        redis.call('ZADD', KEYS[2], time[1] + time[2] / 1e6 + ARGV[5], ARGV[1])
        return -1
    end
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'status', '"queued"')
if redis.call('HDEL', KEYS[1], 'wanted') == 1 then
    redis.call('HSET', KEYS[1], 'parked', '1')
    redis.call('ZREM', KEYS[4], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    for i = 6, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[3]) end
else
    redis.call('ZADD', KEYS[3], redis.call('HGET', KEYS[1], 'order'), ARGV[1])
    redis.call('RPUSH', KEYS[5], 1)
end
return 1
"""
"""End the lease of an attempt: the job waits at its old place or, if its client wanted that, is parked (1). 0 if the
attempt has no lease any more; -1 if the job is to be given up."""

EXPIRED: Final = """
-- KEYS: running, checked
-- ARGV: prefix, seconds of a lease, seconds between checks that count in full, seconds that count if it is longer
local time = redis.call('TIME')
local now, checked = time[1] + time[2] / 1e6, tonumber(redis.call('GET', KEYS[2]) or 0)
redis.call('SET', KEYS[2], string.format('%.6f', now), 'EX', 60)
if now < checked or now - checked > tonumber(ARGV[3]) then
    local leases = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
    for i = 1, #leases, 2 do
        local deadline = leases[i + 1] + now - checked - ARGV[4]
        redis.call('ZADD', KEYS[1], math.min(deadline, now + ARGV[2]), leases[i])
    end
end
local expired = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
    local found = redis.call('HMGET', ARGV[1] .. 'job:' .. id, 'status', 'attempt', 'worker')
    if found[1] == '"queued"' or found[1] == '"in_progress"' then
        expired[#expired + 1] = {id, tonumber(found[2]), found[3]}
    else  -- its record has expired
        redis.call('ZREM', KEYS[1], id)
    end
end
return expired
"""
"""Jobs whose lease has expired: id, attempt, worker. If no worker has checked for a while, none could reach Redis, or
Redis was restarted with an older state or another clock: then no lease could be renewed either, and hardly any of that
time counts. Some of it does, so that leases expire even if all workers are too busy to check in time."""

PARK: Final = """
-- KEYS: job, waiting, owner's unfinished jobs, then all else of the job; ARGV: id, seconds to keep
local status = redis.call('HGET', KEYS[1], 'status')
if status == '"in_progress"' then
    redis.call('HSET', KEYS[1], 'wanted', '"park"')
    return 1
end
if status == '"queued"' then
    redis.call('HSET', KEYS[1], 'parked', '1')
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    for i = 4, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[2]) end
end
return 0
"""
"""The client disconnected: a queued job is parked at once (0), a running one will be parked by its worker (1)."""

UNPARK: Final = """
-- KEYS: job, waiting, running, counter, owner's unfinished jobs, owners, wake, then all else of the job
-- ARGV: id, room, now, seconds to live, owner
redis.call('HDEL', KEYS[1], 'wanted')
local found = redis.call('HMGET', KEYS[1], 'status', 'parked')
if found[1] ~= '"queued"' or not found[2] then return 1 end
if redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[2]) then return 0 end
local order = redis.call('INCR', KEYS[4])
redis.call('HDEL', KEYS[1], 'parked')
redis.call('HSET', KEYS[1], 'order', order)
redis.call('ZADD', KEYS[2], order, ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
redis.call('SADD', KEYS[6], ARGV[5])
redis.call('RPUSH', KEYS[7], 1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
for i = 5, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
return 1
"""
"""Put a parked job back into its queue, at the end. 0 if the queue is full; no effect on a job that is not parked."""

END: Final = (
    ADD_EVENT
    + """
-- KEYS: job, stream, events, snapshot, input, waiting, running, durations, owner's unfinished jobs
-- ARGV: id, attempt or '', status, now, retention, error or '', result or '', how many symbols there must be or ''
local status = redis.call('HGET', KEYS[1], 'status')
if status ~= '"queued"' and status ~= '"in_progress"' then return 0 end
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], 'attempt') ~= ARGV[2] then return 0 end
if ARGV[8] ~= '' then
    if redis.call('HGET', KEYS[1], 'samples_done') ~= ARGV[8] then return -1 end
    redis.call('HSET', KEYS[1], 'samples_total', ARGV[8])
end
redis.call('HSET', KEYS[1], 'status', '"' .. ARGV[3] .. '"', 'completed_at', ARGV[4])
redis.call('HDEL', KEYS[1], 'wanted', 'parked')
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'error', ARGV[6]) end
if ARGV[7] ~= '' then redis.call('HSET', KEYS[1], 'result', ARGV[7]) end
redis.call('XADD', KEYS[2], '*', 'k', 'end', 'status', ARGV[3], 'error', ARGV[6])
add_event(KEYS[3], KEYS[1], 'job.' .. ARGV[3])
redis.call('DEL', KEYS[4], KEYS[5])
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[5]) end
for _, i in ipairs({6, 7, 9}) do redis.call('ZREM', KEYS[i], ARGV[1]) end
local started = redis.call('HGET', KEYS[1], 'started_at')
if started then
    redis.call('LPUSH', KEYS[8], tonumber(ARGV[4]) - tonumber(started))
    redis.call('LTRIM', KEYS[8], 0, 31)
end
return 1
"""
)
"""End a job, once: its record, the end mark for its readers, its place in the queue, its lease. 1; 0 if it has ended or
is another attempt's; -1 if symbols are missing."""
