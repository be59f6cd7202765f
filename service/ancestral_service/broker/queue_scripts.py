"""Lua scripts of the queue: what has to happen atomically inside Redis when a job is submitted, leased, and ended.

Values in a job's record (a hash) are JSON, so a status reads ``"queued"``, with its quotes. All times are by the
clock of Redis, because those of two machines may differ.

Some scripts also use keys whose names they find out, by a prefix with the tag of the shard: ``KIND_prefix``. In a
cluster these are on the same server. While their slot moves to another, key by key, a script fails at the first key
that is not there (any more, or yet), and what it has written until then stays. So scripts read such keys before they
write.
"""

from __future__ import annotations

from typing import Final

from ancestral_service.broker.scripts import ADD_EVENT, NOW, Script

_FREED: Final = """
local function freed(claimed_at)
    redis.call('LPUSH', durations, math.max(0, now - claimed_at))
    redis.call('LTRIM', durations, 0, 31)
end
"""
"""The beginning of scripts in which a job gives its slot up: how long it had it."""

_WAKE: Final = """
local function wake_worker()
    local message = 'wake ' .. priority .. ' ' .. shard
    while true do
        local worker = redis.call('ZPOPMIN', idle)[1]
        if not worker or redis.call('SPUBLISH', control_prefix .. worker, message) > 0 then return end
    end
end
"""
"""The beginning of scripts that put a job into its queue: one worker is told, the one that has been idle the longest
and listens. It counts as idle again when it has found the queue empty (CLAIM)."""

_SUSPENDED: Final = """
local function suspended()
    redis.call('ZREM', unfinished, id)
    for _, key in ipairs({stream, events, snapshot, input}) do redis.call('EXPIRE', key, retention) end
    local has_symbols = redis.call('HGET', job, 'samples_done') ~= '0'
    redis.call('EXPIRE', job, has_symbols and record_retention or retention)
end
"""
"""The beginning of scripts that suspend a job. Nobody has had anything of one without symbols, so its record does not
stay for longer than its input."""

_REFUSAL: Final = """
local function refusal()
    if tonumber(limit) ~= 0 and redis.call('ZCOUNT', unfinished, now - life, '+inf') >= tonumber(limit) then
        return 'limited'
    end
    if redis.call('ZCARD', waiting) + redis.call('ZCARD', running) >= tonumber(room) then return 'full' end
end
"""

SUBMIT: Final = Script(
    "SUBMIT",
    keys="job waiting running jobs counter events unfinished owners idle bound input ingredient",
    args="id job_prefix events_prefix control_prefix priority shard room life limit owner fingerprint bound_seconds",
    rest="record",
    body=NOW
    + _REFUSAL
    + _WAKE
    + """
if redis.call('EXISTS', job) == 1 then return {'accepted', redis.call('HGETALL', job)} end  -- the reply got lost
local changed = {'created_at', now_text}
if fingerprint ~= '' then
    local earlier, earlier_fingerprint = unpack(cjson.decode(redis.call('GET', bound) or '[]'))
    if earlier and earlier_fingerprint ~= fingerprint then return {'reused', {}} end
    local kind, status, done, result = unpack(redis.call('HMGET', job_prefix .. (earlier or ''), 'kind', 'status',
        'samples_done', 'result'))
    local came_to_nothing = not kind or status == '"failed"' or status == '"cancelled"'
    -- Its symbols are kept as long as its events; a result that is all that it has given, as long as its record.
    local is_kept = kind and (redis.call('EXISTS', events_prefix .. earlier) == 1 or (result and done == '0'))
    if is_kept and not came_to_nothing then return {'accepted', redis.call('HGETALL', job_prefix .. earlier)} end
    local again = not came_to_nothing and redis.call('HGET', job_prefix .. earlier, 'payload')
    if again then
        changed[3], changed[4] = 'payload', again
    end
end
local refused = refusal()
if refused then return {refused, {}} end
local order = redis.call('INCR', counter)
for _, item in ipairs({'order', tostring(order), unpack(changed)}) do record[#record + 1] = item end
redis.call('HSET', job, unpack(record))
redis.call('ZADD', waiting, order, id)
redis.call('ZADD', jobs, now_text, id)
redis.call('ZADD', unfinished, now_text, id)
redis.call('XADD', events, '0-*', 'type', 'job.queued', 'samples_done', '0')
for _, key in ipairs({job, events, unfinished, input, ingredient}) do redis.call('EXPIRE', key, life) end
for _, if_later in ipairs({'NX', 'GT'}) do redis.call('EXPIRE', jobs, life, if_later) end
if redis.call('SADD', owners, owner) == 1 then redis.call('EXPIRE', owners, life) end
if order % 100 == 0 then
    redis.call('ZREMRANGEBYRANK', jobs, 0, -10001)
    redis.call('ZREMRANGEBYSCORE', unfinished, '-inf', now - life)
end
wake_worker()
if fingerprint ~= '' then redis.call('SET', bound, cjson.encode({id, fingerprint}), 'EX', bound_seconds) end
return {'accepted', record}
""",
)
"""Put a job into its queue. ``record`` is the job's fields and values, ``limit`` the owner's (0: none). ``bound`` is an
idempotency key of the owner, if ``fingerprint`` is not '': it finds the job of an earlier request, unless that came to
nothing, and else is bound to this one; if the earlier output has expired, this job makes it again. 'accepted' and the
job's record; or why not: 'full', 'limited' (the owner has too many unfinished jobs), 'reused' (the key belongs to a
request with another fingerprint)."""

CLAIM: Final = Script(
    "CLAIM",
    keys="waiting idle running capacity claimed",
    args="job_prefix events_prefix stream_prefix worker claim full lease life fewer_deaths models",
    body=ADD_EVENT
    + NOW
    + """
local function record_of(id)
    local record, fields = {}, redis.call('HGETALL', job_prefix .. id)
    for i = 1, #fields, 2 do record[fields[i]] = fields[i + 1] end
    return record
end
local function claimed_before()
    local id = (redis.call('GET', claimed) or ''):match('^' .. claim .. ' (.*)$')
    if id and redis.call('ZSCORE', running, id) and redis.call('HGET', job_prefix .. id, 'claim') == claim then
        return id, record_of(id)
    end
end
local own, others = cjson.decode(models), nil
local function can_run(record)
    local loaded = own[cjson.decode(record.model)]
    return loaded and loaded[1] == cjson.decode(record.sha256)
end
local function another_can_run(record)
    if not others then
        others = {}
        for _, kind in ipairs(redis.call('HKEYS', capacity)) do
            local info = cjson.decode(kind)
            for model, sha256 in pairs(info.ready and info.models or {}) do others[model .. ' ' .. sha256] = true end
        end
    end
    return others[cjson.decode(record.model) .. ' ' .. cjson.decode(record.sha256)]
end
local function first_in_line()
    local rank = 0
    while true do
        local id = redis.call('ZRANGE', waiting, rank, rank)[1]
        if not id then return nil end
        local record = record_of(id)
        if record.status ~= '"queued"' then  -- its record has expired
            redis.call('ZREM', waiting, id)
        elseif tonumber(record.deaths or 0) >= tonumber(fewer_deaths)
            or (not can_run(record) and another_can_run(record)) then
            rank = rank + 1
        else
            return id, record
        end
    end
end
local id, record = claimed_before()
local changed = {}
if not id then
    id, record = first_in_line()
    if not id then
        if redis.call('ZADD', idle, 'NX', now_text, worker) == 1 then redis.call('EXPIRE', idle, life) end
        return false
    end
    redis.call('EXISTS', events_prefix .. id, stream_prefix .. id)  -- fails while they move, before anything is written
    redis.call('ZREM', waiting, id)
    redis.call('ZADD', running, now + lease, id)
    redis.call('SET', claimed, claim .. ' ' .. id, 'EX', life)
    changed = {worker = worker, claim = claim, claimed_at = now_text, attempt = (record.attempt or 0) + 1}
end
if full == '1' then redis.call('ZREM', idle, worker) end
local attempt, done = tonumber(changed.attempt or record.attempt), record.samples_done
local loaded, refused = own[cjson.decode(record.model)], ''
if not can_run(record) then
    refused = 'model_changed'
elseif done ~= '0' and (record.engine ~= cjson.encode(loaded[2]) or (record.probe or loaded[3]) ~= loaded[3]) then
    refused = 'engine_changed'
end
local begins = refused == '' and record.status == '"queued"'
if begins then
    changed.status, changed.engine = '"in_progress"', cjson.encode(loaded[2])
    changed.probe, changed.started_at = loaded[3], record.started_at or now_text
end
local written, answer = {}, {}
for name, value in pairs(changed) do
    written[#written + 1], written[#written + 2] = name, value
    record[name] = tostring(value)
end
if #written > 0 then redis.call('HSET', job_prefix .. id, unpack(written)) end
if begins then
    local events, stream = events_prefix .. id, stream_prefix .. id
    add_event(events, 'job.in_progress', {done, record.samples_total, record.started_at})
    redis.call('XADD', stream, done .. '-*', 'k', 'begin', 'attempt', attempt, 'engine', loaded[2], 'worker', worker)
    for _, key in ipairs({events, stream}) do redis.call('EXPIRE', key, life) end
end
for name, value in pairs(record) do
    answer[#answer + 1], answer[#answer + 2] = name, value
end
return {attempt, refused, answer}
""",
)
"""Lease the job that has waited longest to a worker and begin an attempt at it: the attempt's number, why this worker
cannot run it or '', and the record. Nothing if no job waits that fewer than ``fewer_deaths`` workers died with. While a
model is replaced, worker by worker, a job whose weights this worker lacks is left to another that is ready and has
them.
``claimed`` keeps the worker's last claim, and the job that it got: the reply to the same claim may have got lost.
``full`` (0 | 1) is whether the worker has no room for another job: it is not woken then. A worker that finds nothing
is, when a job comes. ``models`` is JSON: sha256, engine and probe by id. The probe is what the worker's machine made of
fixed symbols: whose rounding differs, continues no job of another; a record may have none."""

RENEW: Final = Script(
    "RENEW",
    keys="running waiting",
    args="lease",
    more_keys="jobs",
    rest="held",
    body=NOW
    + """
local queued, signals, renewed = redis.call('ZCARD', waiting), {}, {}
for i, job in ipairs(jobs) do
    local id, attempt = held[2 * i - 1], held[2 * i]
    local found = redis.call('HMGET', job, 'attempt', 'status', 'read', 'wanted', 'samples_done')
    if found[1] == attempt then
        renewed[#renewed + 1], renewed[#renewed + 2] = now + lease, id
    end
    found[6] = queued
    signals[i] = found
    if #renewed > 0 and (i == #jobs or #renewed == 1000) then  -- Lua limits the arguments of a call
        redis.call('ZADD', running, 'XX', unpack(renewed))
        renewed = {}
    end
end
return signals
""",
)
"""Renew the leases of attempts at jobs of one priority, of each if it still has it, and read the signals for their
worker; ``held`` has the id and the attempt of each of ``jobs``."""

RELEASE: Final = Script(
    "RELEASE",
    keys="job running waiting durations unfinished idle stream events snapshot input",
    args="id attempt control_prefix priority shard retention record_retention max_deaths grace parked",
    body=NOW
    + _FREED
    + _WAKE
    + _SUSPENDED
    + """
local deadline = redis.call('ZSCORE', running, id)
if not deadline or redis.call('HGET', job, 'attempt') ~= attempt then return 0 end
if tonumber(max_deaths) > 0 then
    if tonumber(deadline) > now then return 0 end  -- renewed meanwhile
    if redis.call('HGET', job, 'status') == '"in_progress"'
        and redis.call('HINCRBY', job, 'deaths', 1) >= tonumber(max_deaths) then
        redis.call('ZADD', running, now + grace, id)
        return -1
    end
end
redis.call('ZREM', running, id)
redis.call('HSET', job, 'status', '"queued"')
if redis.call('HDEL', job, 'wanted') == 1 then parked = '0' end
if parked == '0' or tonumber(parked) > tonumber(redis.call('HGET', job, 'read') or 0) then
    freed(redis.call('HGET', job, 'claimed_at'))
    redis.call('HSET', job, 'suspended', parked)
    suspended()
else
    redis.call('ZADD', waiting, redis.call('HGET', job, 'order'), id)
    wake_worker()
end
return 1
""",
)
"""End the lease of an attempt: the job waits at its old place or, if its client wanted that, is suspended (1). So it is
until its reader has read as far as ``parked``, if that is not -1. 0 if the attempt has no lease any more; -1 if the job
is to be given up, because ``max_deaths`` workers have died with it (0: the worker is alive, and releases it); whoever
finds that has ``grace`` seconds to end the job."""

EXPIRED: Final = Script(
    "EXPIRED",
    keys="running reclaimed",
    args="job_prefix lease unchecked counted dead but",
    body=NOW
    + """
local checked = tonumber(redis.call('GET', reclaimed) or 0)
redis.call('SET', reclaimed, now_text, 'EX', 60)
if now < checked or now - checked > tonumber(unchecked) then
    local leases = redis.call('ZRANGE', running, 0, -1, 'WITHSCORES')
    for i = 1, #leases, 2 do
        local deadline = now < checked and now + lease or leases[i + 1] + now - checked - counted
        redis.call('ZADD', running, math.min(deadline, now + lease), leases[i])
    end
end
for _, id in ipairs(dead ~= '' and redis.call('ZRANGE', running, 0, -1) or {}) do
    local worker = redis.call('HGET', job_prefix .. id, 'worker') or ''
    if worker:sub(1, #dead) == dead and worker ~= but then redis.call('ZADD', running, now, id) end
end
local expired = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', running, '-inf', now)) do
    local found = redis.call('HMGET', job_prefix .. id, 'status', 'attempt', 'worker')
    if found[1] == '"queued"' or found[1] == '"in_progress"' then
        expired[#expired + 1] = {id, tonumber(found[2]), found[3]}
    else  -- its record has expired
        redis.call('ZREM', running, id)
    end
end
return expired
""",
)
"""Jobs whose lease has expired: id, attempt, worker. If no worker has checked for ``unchecked`` seconds, none could
reach Redis, or Redis was restarted with an older state or another clock: then no lease could be renewed either, and
hardly any of that time counts. ``counted`` seconds of it do, so that leases expire even if all workers are too busy to
check in time. The leases of workers whose ids begin with ``dead`` (if it is not ''), but those of ``but``, expire at
once."""

SUSPEND: Final = Script(
    "SUSPEND",
    keys="job waiting unfinished stream events snapshot input",
    args="id control_prefix retention record_retention",
    body=_SUSPENDED
    + """
local status, worker = unpack(redis.call('HMGET', job, 'status', 'worker'))
if status == '"in_progress"' then
    redis.call('HSET', job, 'wanted', '"suspend"')
    redis.call('SPUBLISH', control_prefix .. worker, 'suspend ' .. id)
end
if status == '"queued"' then
    redis.call('HSET', job, 'suspended', '0')
    redis.call('ZREM', waiting, id)
    suspended()
end
""",
)
"""The client disconnected: a queued job is suspended at once, a running one will be by its worker, which is told."""

RESUME: Final = Script(
    "RESUME",
    keys="job waiting running counter unfinished owners idle stream events snapshot input",
    args="id control_prefix priority shard room life limit owner",
    body=NOW
    + _REFUSAL
    + _WAKE
    + """
redis.call('HDEL', job, 'wanted')
local found = redis.call('HMGET', job, 'status', 'suspended', 'read', 'samples_done', 'order')
if found[1] ~= '"queued"' or not found[2] then return 'resumed' end
if tonumber(found[2]) > tonumber(found[3] or 0) then return 'resumed' end  -- its reader has enough to read
local refused = refusal()
if refused then return refused end
local order = found[4] == '0' and found[5] or redis.call('INCR', counter)
redis.call('HDEL', job, 'suspended')
redis.call('HSET', job, 'order', order)
redis.call('ZADD', waiting, order, id)
redis.call('ZADD', unfinished, now_text, id)
redis.call('SADD', owners, owner)
for _, key in ipairs({job, unfinished, owners, stream, events, snapshot, input}) do
    redis.call('EXPIRE', key, life)
end
wake_worker()
return 'resumed'
""",
)
"""Put a suspended job back into its queue: at the end, or at its old place if it has no symbols, because whoever waits
for them may have to connect again. No effect on any other job. 'resumed', or why not (SUBMIT)."""

END: Final = Script(
    "END",
    keys="job jobs stream events snapshot input ingredient waiting running durations unfinished",
    args="id attempt ending control_prefix status retention record_retention error result symbols",
    body=ADD_EVENT
    + NOW
    + _FREED
    + """
local before, ended_by, current, done, total, started, claimed, worker, wanted, suspended = unpack(redis.call('HMGET',
    job, 'status', 'ended_by', 'attempt', 'samples_done', 'samples_total', 'started_at', 'claimed_at', 'worker',
    'wanted', 'suspended'))
if before ~= '"queued"' and before ~= '"in_progress"' then return ended_by == ending and 1 or 0 end
if attempt ~= '' and current ~= attempt then return 0 end
if symbols ~= '' and done ~= symbols then return -1 end
-- First, because a script that has freed memory may write even if none is left.
local was_leased = redis.call('ZREM', running, id) == 1
if not was_leased then redis.call('ZREM', waiting, id) end
redis.call('ZREM', unfinished, id)
redis.call('DEL', snapshot, input)
local fields = {'status', '"' .. status .. '"', 'completed_at', now_text, 'ended_by', ending}
local function add(name, value)
    if value ~= '' then fields[#fields + 1], fields[#fields + 2] = name, value end
end
add('samples_total', symbols)
add('error', error)
add('result', result)
redis.call('HSET', job, unpack(fields))
if wanted or suspended then redis.call('HDEL', job, 'wanted', 'suspended') end
redis.call('XADD', stream, 'NOMKSTREAM', after_all, 'k', 'end', 'status', status, 'error', error, 'result', result)
add_event(events, 'job.' .. status, {done, symbols ~= '' and symbols or total, started}, after_all)
for _, key in ipairs({stream, events, ingredient}) do redis.call('EXPIRE', key, retention) end
redis.call('EXPIRE', job, record_retention)
redis.call('EXPIRE', jobs, record_retention, 'GT')
if was_leased then freed(claimed) end
if was_leased and attempt == '' then redis.call('SPUBLISH', control_prefix .. worker, 'cancel ' .. id) end
return 1
""",
)
"""End a job, once: its record, the end mark for its readers, its place in the queue, its lease. ``attempt`` must be the
current one ('': any, and its worker is told), ``symbols`` what has been published ('': any number). 1, again for a
repetition, which has the same ``ending``: the reply may have got lost; 0 if it has ended otherwise or is another
attempt's; -1 if symbols are missing."""
