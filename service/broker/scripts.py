"""Lua scripts besides the queue's: a job's symbols and file, the workers that are alive, websocket sessions."""

from __future__ import annotations

from typing import Final

ADD_EVENT: Final = """
local function add_event(events, job, kind)
    local now = redis.call('HMGET', job, 'samples_done', 'samples_total', 'started_at')
    local fields = {'type', kind}
    for i, name in ipairs({'samples_done', 'samples_total', 'started_at'}) do
        if now[i] then
            fields[#fields + 1] = name
            fields[#fields + 1] = now[i]
        end
    end
    redis.call('XADD', events, '*', unpack(fields))
end
"""
"""The beginning of scripts that add an event to a job. An event has the figures of its time, for those who read it
later (:meth:`ancestral.service.broker.job.Job.at`)."""

PUBLISH: Final = (
    ADD_EVENT
    + """
-- KEYS: job, stream, events, snapshot
-- ARGV: attempt, whether to add an event (0 | 1), snapshot or '', its seconds to live,
--       then of each piece its kind ('piece' has a byte per sample, 'pcm' two), index, start and samples
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'samples_done')
if record[1] ~= '"in_progress"' or record[2] ~= ARGV[1] then return 0 end
local before = tonumber(record[3])
local done = before
for i = 5, #ARGV, 4 do
    local kind, index, start, samples = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    if tonumber(start) > done then return -1 end
    local stop = start + #samples / (kind == 'pcm' and 2 or 1)
    if stop > done then
        redis.call('XADD', KEYS[2], 'NOMKSTREAM', '*', 'k', kind, 'i', index, 'p', start, 's', samples)
        redis.call('HSET', KEYS[1], 'samples_done', stop)
        done = stop
    end
end
if done > before then
    redis.call('HDEL', KEYS[1], 'deaths')
    if ARGV[2] == '1' and redis.call('EXISTS', KEYS[3]) == 1 then add_event(KEYS[3], KEYS[1], 'job.progress') end
end
if ARGV[3] ~= '' then redis.call('SET', KEYS[4], ARGV[3], 'EX', ARGV[4]) end
return 1
"""
)
"""Append samples of an attempt to the job's stream, without those that are there already. 1; 0 if the attempt has lost
the job, -1 if samples before these are missing."""

PREVIEW: Final = """
-- KEYS: job, stream; ARGV: attempt, data
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt')
if record[1] ~= '"in_progress"' or record[2] ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[2], 'NOMKSTREAM', '*', 'k', 'preview', 'd', ARGV[2])
return 1
"""
"""Append what clients may show before the first symbols."""

SET_FIELD: Final = """
-- KEYS: job; ARGV: field, value, then a channel and a message for its subscribers
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return 1
"""
"""Write a field of a record, if there still is one: a new one would never expire."""

KEEP: Final = """
-- KEYS: job, draft, content; ARGV: what is known of the content
local life = redis.call('PTTL', KEYS[1])
if life < 0 or redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('DEL', KEYS[2])
    return 0
end
redis.call('HSET', KEYS[1], 'content', ARGV[1])
redis.call('RENAME', KEYS[2], KEYS[3])
redis.call('PEXPIRE', KEYS[3], life)
return 1
"""
"""Keep a finished job's bytes for as long as the job. 1; 0 if the job is gone, or the draft."""

UNFINISHED: Final = """
-- KEYS: owners; ARGV: prefix, time of submission before which jobs have expired
local total, most = 0, 0
for _, owner in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    local count = redis.call('ZCOUNT', ARGV[1] .. 'unfinished:' .. owner, ARGV[2], '+inf')
    if count == 0 then redis.call('SREM', KEYS[1], owner) end
    total, most = total + count, math.max(most, count)
end
return {total, most}
"""
"""The number of unfinished jobs of all owners together, and the largest number of any owner."""

ANNOUNCE: Final = """
-- KEYS: workers, worker_info; ARGV: worker, its description, seconds until it counts as dead
local now = redis.call('TIME')[1]
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
    redis.call('HDEL', KEYS[2], dead)
    redis.call('ZREM', KEYS[1], dead)
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
"""
"""A worker is alive and describes itself; dead ones are removed."""

ROSTER: Final = """
-- KEYS: workers, worker_info
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], redis.call('TIME')[1], '+inf')) do
    local info = redis.call('HGET', KEYS[2], name)
    if info then found[#found + 1] = info end
end
return found
"""
"""The descriptions of the workers that are alive."""

SAVE_SESSION: Final = """
-- KEYS: session; ARGV: holder, owner, seconds to keep, state
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'owner', ARGV[2], 'state', ARGV[4])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
"""Write the state. 0 if another connection holds the session."""

CLAIM_SESSION: Final = """
-- KEYS: session; ARGV: holder, owner, seconds to keep
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return false end
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('HGET', KEYS[1], 'state')
"""
"""Take the session over from whatever connection holds it. Its state; nothing if this owner has no such session."""

HOLD_SESSION: Final = """
-- KEYS: session; ARGV: holder, seconds to keep
local holder = redis.call('HGET', KEYS[1], 'holder')
if not holder then return -1 end
if holder ~= ARGV[1] then return 0 end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
"""Keep the session for so many seconds from now. 0 if another connection holds it, -1 if it is gone."""

END_SESSION: Final = """
-- KEYS: session; ARGV: holder, seconds to keep its last holder
local holder = redis.call('HGET', KEYS[1], 'holder')
if not holder then return -1 end
if holder ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'owner', 'state')
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
"""End the session. Its last holder stays for a while: without it, an earlier connection would take the session for
lost, and write it again. 0 if another connection holds it, -1 if it is gone."""
