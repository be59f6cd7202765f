"""The Lua scripts that the broker runs inside Redis: what must happen at once or not at all.

Every one of them works on a job's record (a hash of JSON values), so a status reads ``"queued"``, with its quotes.
Times are Redis's own where two machines' clocks would have to agree.
"""

from __future__ import annotations

from typing import Final

ADMIT: Final = """
-- KEYS: job, waiting, running, owner's jobs, counter, events, owner's unfinished jobs
-- ARGV: id, room, created_at, seconds to live, owner's limit (0: none), then the record's fields and values
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end  -- it was, and the reply got lost
local unfinished = redis.call('ZCOUNT', KEYS[7], ARGV[3] - ARGV[4], '+inf')
if tonumber(ARGV[5]) > 0 and unfinished >= tonumber(ARGV[5]) then return -1 end
if redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
redis.call('EXPIRE', KEYS[1], ARGV[4])
local order = redis.call('INCR', KEYS[5])
redis.call('HSET', KEYS[1], 'order', order, 'turn', 0)
redis.call('ZADD', KEYS[2], order, ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -10001)
redis.call('EXPIRE', KEYS[4], ARGV[4])
redis.call('XADD', KEYS[6], '*', 'type', 'job.queued')
redis.call('EXPIRE', KEYS[6], ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', ARGV[3] - ARGV[4])
redis.call('ZADD', KEYS[7], ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[7], ARGV[4])
return 1
"""
"""Put a job into its priority. 1; 0 if the priority is full, -1 if its owner has too many unfinished ones."""

BEGIN: Final = """
-- KEYS: job, waiting, running, events, stream; ARGV: id, now, engine, turn, sha256, seconds to live
local status = redis.call('HGET', KEYS[1], 'status')
if status ~= '"queued"' and status ~= '"in_progress"' then return 0 end
if redis.call('HGET', KEYS[1], 'turn') ~= ARGV[4] or redis.call('HEXISTS', KEYS[1], 'parked') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'status', '"in_progress"', 'engine', cjson.encode(ARGV[3]))
redis.call('HSETNX', KEYS[1], 'started_at', ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
if status == '"queued"' then redis.call('XADD', KEYS[4], '*', 'type', 'job.in_progress') end
local attempt = redis.call('HINCRBY', KEYS[1], 'attempt', 1)
redis.call('XADD', KEYS[5], '*', 'k', 'begin', 'attempt', attempt, 'engine', ARGV[3], 'sha256', ARGV[5])
redis.call('EXPIRE', KEYS[5], ARGV[6])
return attempt
"""
"""Start a job's turn, and say so to its readers. The attempt's number; 0 if there is nothing to do: the job has ended,
is parked, or is unknown, or it is another's turn by now."""

PUBLISH: Final = """
-- KEYS: job, stream, events, snapshot
-- ARGV: attempt, whether to tell of it (0 | 1), snapshot or '', seconds it lives, then index, start, symbols of pieces
local record = redis.call('HMGET', KEYS[1], 'status', 'attempt', 'samples_done')
if record[1] ~= '"in_progress"' or record[2] ~= ARGV[1] then return 0 end
local before = tonumber(record[3])
local done = before
for i = 5, #ARGV, 3 do
    if tonumber(ARGV[i + 1]) > done then return -1 end
    local stop = ARGV[i + 1] + #ARGV[i + 2]
    if stop > done then
        redis.call('XADD', KEYS[2], 'NOMKSTREAM', '*', 'k', 'piece', 'i', ARGV[i], 'p', ARGV[i + 1], 's', ARGV[i + 2])
        redis.call('HSET', KEYS[1], 'samples_done', stop)
        done = stop
    end
end
if done > before then
    redis.call('HDEL', KEYS[1], 'deaths')
    if ARGV[2] == '1' then
        redis.call('XADD', KEYS[3], 'NOMKSTREAM', '*', 'type', 'job.progress', 'samples_done', done)
    end
end
if ARGV[3] ~= '' then redis.call('SET', KEYS[4], ARGV[3], 'EX', ARGV[4]) end
return 1
"""
"""Hand on symbols of an attempt; those that are there already are passed over. 1; 0 if the job has ended or is in other
hands, -1 if symbols before these are missing."""

NOTE: Final = """
-- KEYS: job; ARGV: field, value, then a channel and a message for those who should know at once
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if ARGV[3] then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return 1
"""
"""Write a field of a record, if there still is one: it would live for ever."""

END: Final = """
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
redis.call('HDEL', KEYS[1], 'wanted')
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'error', ARGV[6]) end
if ARGV[7] ~= '' then redis.call('HSET', KEYS[1], 'result', ARGV[7]) end
redis.call('XADD', KEYS[2], '*', 'k', 'end', 'status', ARGV[3], 'error', ARGV[6])
redis.call('XADD', KEYS[3], '*', 'type', 'job.' .. ARGV[3])
redis.call('DEL', KEYS[4], KEYS[5])
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[5]) end
redis.call('ZREM', KEYS[6], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
redis.call('ZREM', KEYS[9], ARGV[1])
local started = redis.call('HGET', KEYS[1], 'started_at')
if started then
    redis.call('LPUSH', KEYS[8], tonumber(ARGV[4]) - tonumber(started))
    redis.call('LTRIM', KEYS[8], 0, 31)
end
return 1
"""
"""End a job, once: its record, the end mark for its readers, its place in the priority. 1; 0 if it was not ours to
end; -1 if symbols are missing."""

ASK_PARK: Final = """
-- KEYS: job, waiting, running, owner's unfinished jobs, then all else of the job; ARGV: id, seconds to keep
local status = redis.call('HGET', KEYS[1], 'status')
if status == '"in_progress"' then
    redis.call('HSET', KEYS[1], 'wanted', '"park"')
    return 1
end
if status == '"queued"' then
    redis.call('HSET', KEYS[1], 'parked', '1')
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[4], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[2])
    for i = 5, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[2]) end
end
return 0
"""
"""Nobody listens any more: a job that waits is parked at once (0), one that runs is to be parked by its worker (1)."""

LET_GO: Final = """
-- KEYS: job, running, waiting, owner's unfinished jobs, then all else of the job
-- ARGV: id, turn, seconds to keep, how many workers may die with it (0: none has)
local status = redis.call('HGET', KEYS[1], 'status')
if status ~= '"queued"' and status ~= '"in_progress"' then return 0 end
if redis.call('HGET', KEYS[1], 'turn') ~= ARGV[2] or redis.call('HEXISTS', KEYS[1], 'parked') == 1 then return 0 end
if tonumber(ARGV[4]) > 0 and status == '"in_progress"' then
    local deaths = redis.call('HINCRBY', KEYS[1], 'deaths', 1)
    if deaths >= tonumber(ARGV[4]) then return -deaths end
end
redis.call('HSET', KEYS[1], 'status', '"queued"')
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HEXISTS', KEYS[1], 'wanted') == 1 then
    redis.call('HSET', KEYS[1], 'parked', '1')
    redis.call('HDEL', KEYS[1], 'wanted')
    redis.call('ZREM', KEYS[4], ARGV[1])
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    for i = 5, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[3]) end
    return 0
end
redis.call('ZADD', KEYS[3], redis.call('HGET', KEYS[1], 'order'), ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'turn', 1)
"""
"""End a job's turn: it waits in its queue once more (the number of its next turn) or, if that was wanted, until
somebody asks for it again (0). 0 also if that turn was over; minus the deaths if it is to be given up."""

UNPARK: Final = """
-- KEYS: job, waiting, running, counter, owner's unfinished jobs, then all else of the job
-- ARGV: id, room, now, seconds to live
if redis.call('HGET', KEYS[1], 'wanted') == '"park"' then redis.call('HDEL', KEYS[1], 'wanted') end
if redis.call('HEXISTS', KEYS[1], 'parked') == 0 then return 0 end
if redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[2]) then return -1 end
redis.call('HDEL', KEYS[1], 'parked')
redis.call('EXPIRE', KEYS[1], ARGV[4])
for i = 6, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[4]), ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'turn', 1)
"""
"""Put a parked job back into its queue. The number of its turn; 0 if it was not parked, -1 if the queue is full."""

STRAYS: Final = """
-- KEYS: waiting, running, what is in the queue or in hand; ARGV: where records are, where turns are
local found = {}
for priority = 1, 2 do
    for _, id in ipairs(redis.call('ZRANGE', KEYS[priority], 0, -1)) do
        local status, turn = unpack(redis.call('HMGET', ARGV[1] .. id, 'status', 'turn'))
        if status ~= '"queued"' and status ~= '"in_progress"' then
            redis.call('ZREM', KEYS[priority], id)
        elseif not redis.call('ZSCORE', KEYS[3], ARGV[2] .. id .. '.' .. turn) then
            found[#found + 1] = {id, turn}
        end
    end
end
return found
"""
"""Jobs of a priority whose turn is lost, and the turns. Those that have expired lose their place."""

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

ANNOUNCE: Final = """
-- KEYS: alive, cards; ARGV: worker, card, seconds it holds
local now = redis.call('TIME')
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now[1])) do
    redis.call('HDEL', KEYS[2], gone)
    redis.call('ZREM', KEYS[1], gone)
end
redis.call('ZADD', KEYS[1], now[1] + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
"""
"""A worker says that it lives and what it can do; those that have not for a while are struck off."""

ROSTER: Final = """
-- KEYS: alive, cards
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], redis.call('TIME')[1], '+inf')) do
    local card = redis.call('HGET', KEYS[2], name)
    if card then found[#found + 1] = card end
end
return found
"""
"""The cards of the workers that live."""

SAVE_SESSION: Final = """
-- KEYS: session; ARGV: holder, owner, seconds to keep, state
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'owner', ARGV[2], 'state', ARGV[4])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
"""Write the state. 0 if another connection has the session."""

CLAIM_SESSION: Final = """
-- KEYS: session; ARGV: holder, owner, seconds to keep
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then return false end
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('HGET', KEYS[1], 'state')
"""
"""Take the session over. Its state; nothing if there is none of this owner."""

HOLD_SESSION: Final = """
-- KEYS: session; ARGV: holder, seconds to keep
local holder = redis.call('HGET', KEYS[1], 'holder')
if not holder then return -1 end
if holder ~= ARGV[1] then return 0 end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
"""Keep the session for so long from now; 0 seconds forget it. 0 if another connection has it, -1 if it is not there."""
