"""Lua scripts besides the queue's: a job's symbols and file, the workers that are alive, websocket sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from ancestral_service.broker.job import Keys, key


@dataclass(frozen=True)
class Script:
    """A Lua script, whose text has its keys and arguments as local variables. All arguments are strings there."""

    name: str
    """Name in metrics."""
    keys: str
    """The names of its keys, separated by spaces: kinds of job.py, or else given by the caller."""
    args: str
    """The names of its arguments, separated by spaces."""
    body: str
    rest: str = ""
    """The name of a table of any number of further arguments."""
    more_keys: str = ""
    """The name of a table of any number of further keys."""

    @cached_property
    def _names(self) -> tuple[list[str], list[str], frozenset[str]]:
        """Keys, arguments, and what a call may give."""
        keys, args = self.keys.split(), self.args.split()
        return keys, args, frozenset([*keys, *args, self.rest, self.more_keys])

    @cached_property
    def source(self) -> str:
        keys, args, _ = self._names
        lines = [_locals(keys, "KEYS"), _locals(args, "ARGV")]
        lines += [_table(self.more_keys, len(keys), "KEYS"), _table(self.rest, len(args), "ARGV")]
        return "\n".join([*lines, self.body])

    @cached_property
    def sha1(self) -> str:
        """The name by which Redis knows the text."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def bind(self, keys: Keys, given: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
        """KEYS and ARGV of a call: what is given by name, and ``keys`` for what is not: the names of keys, and
        arguments called ``shard``, ``priority`` or ``KIND_prefix``."""
        names, args, known = self._names
        assert given.keys() <= known, f"{self.name} has no {given.keys() - known}"
        values = [given[name] if name in given else _derived(name, keys) for name in args]
        values += list(given[self.rest]) if self.rest else []
        more = list(given[self.more_keys]) if self.more_keys else []
        return [given[name] if name in given else keys[name] for name in names] + more, values


def _derived(name: str, keys: Keys) -> Any:
    """An argument that follows from the keys."""
    if name.endswith("_prefix"):
        return key(name.removesuffix("_prefix"), "", shard=keys.shard)
    return {"shard": keys.shard, "priority": keys.priority}[name]


def _locals(names: Sequence[str], table: str) -> str:
    values = ", ".join(f"{table}[{number}]" for number in range(1, len(names) + 1))
    return f"local {', '.join(names)} = {values}" if names else ""


def _table(name: str, first: int, table: str) -> str:
    if not name:
        return ""
    return f"local {name} = {{}}\nfor i = {first + 1}, #{table} do {name}[i - {first}] = {table}[i] end"


NOW: Final = """
local time = redis.call('TIME')
local now, now_text = time[1] + time[2] / 1e6, string.format('%d.%06d', time[1], time[2])
"""
"""The beginning of scripts that need the time."""

ADD_EVENT: Final = """
local after_all = '9223372036854775807-0'
local function fields_of(kind, figures)
    local fields = {'type', kind}
    for i, name in ipairs({'samples_done', 'samples_total', 'started_at'}) do
        if figures[i] then fields[#fields + 1], fields[#fields + 2] = name, figures[i] end
    end
    return unpack(fields)
end
local function add_event(events, kind, figures, id)
    redis.call('XADD', events, id or figures[1] .. '-*', fields_of(kind, figures))
end
local function add_progress(events, figures)  -- unless the events have expired
    redis.call('XADD', events, 'NOMKSTREAM', figures[1] .. '-*', fields_of('job.progress', figures))
end
"""
"""The beginning of scripts that add an event to a job. It has the figures of its time, for
those who read it later (:meth:`ancestral_service.broker.job.Job.at`).

The ids of events and of a stream's entries begin with the position that the job has reached, not with the time; those
of the end are ``after_all``. So readers get what comes after what they have even if Redis has lost that and its clock
has gone back."""

PUBLISH: Final = Script(
    "PUBLISH",
    keys="job stream events snapshot",
    args="attempt event state life noted",
    rest="items",
    body=ADD_EVENT
    + """
local status, current, before, total, started, deaths = unpack(
    redis.call('HMGET', job, 'status', 'attempt', 'samples_done', 'samples_total', 'started_at', 'deaths'))
if status ~= '"in_progress"' or current ~= attempt then return 0 end
local done = tonumber(before)
for i = noted + 1, #items, 4 do
    local kind, index, start, samples = unpack(items, i, i + 3)
    if tonumber(start) > done then return -1 end
    local stop = start + #samples / (kind == 'pcm' and 2 or 1)
    if stop > done then
        redis.call('XADD', stream, 'NOMKSTREAM', stop .. '-*', 'k', kind, 'i', index, 'p', start, 's', samples)
        done = stop
    end
end
local changed = {unpack(items, 1, noted)}
if done > tonumber(before) then
    changed[#changed + 1], changed[#changed + 2] = 'samples_done', done
    if deaths and deaths ~= '0' then redis.call('HDEL', job, 'deaths') end
    if event == '1' then add_progress(events, {done, total, started}) end
end
if #changed > 0 then redis.call('HSET', job, unpack(changed)) end
if state ~= '' then redis.call('SET', snapshot, state, 'EX', life) end
return done > tonumber(before) and 2 or 1
""",
)
"""Write fields of the record, and append samples of an attempt to the job's stream, without those that are there
already. ``items`` has names and values of fields, ``noted`` together, and then of each piece its kind ('piece' has a
byte per sample, 'pcm' two), index, start and samples. ``event`` (0 | 1) adds an event, ``state`` is a snapshot or ''.
2 if the job has more samples than before, else 1; 0 if the attempt has lost it, -1 if samples before these are
missing."""

PREVIEW: Final = Script(
    "PREVIEW",
    keys="job stream",
    args="attempt data",
    body="""
local status, current, done = unpack(redis.call('HMGET', job, 'status', 'attempt', 'samples_done'))
if status ~= '"in_progress"' or current ~= attempt then return 0 end
redis.call('XADD', stream, 'NOMKSTREAM', done .. '-*', 'k', 'preview', 'd', data)
return 1
""",
)
"""Append what clients may show before the first symbols."""

SET_FIELDS: Final = Script(
    "SET_FIELDS",
    keys="job",
    args="",
    rest="fields",
    body="""
if redis.call('EXISTS', job) == 0 then return 0 end
redis.call('HSET', job, unpack(fields))
return 1
""",
)
"""Write fields of a record, if there still is one: a new one would never expire."""

ACKNOWLEDGE: Final = Script(
    "ACKNOWLEDGE",
    keys="job stream events snapshot input",
    args="id control_prefix position parked_seconds",
    body="""
local status, worker, read, suspended = unpack(redis.call('HMGET', job, 'status', 'worker', 'read', 'suspended'))
if not status then return {0, ''} end
if position ~= '0' then
    redis.call('HSET', job, 'read', position)
    read = position
end
if not worker or status ~= '"in_progress"' then worker = '' end
if worker ~= '' then redis.call('SPUBLISH', control_prefix .. worker, 'read ' .. id .. ' ' .. position) end
if not suspended then return {0, worker} end
for _, key in ipairs({job, stream, events, snapshot, input}) do redis.call('EXPIRE', key, parked_seconds, 'GT') end
return {tonumber(read or 0) >= tonumber(suspended) and 1 or 0, worker}
""",
)
"""A client has read so far (0: nothing more), which the worker is told. A suspended job is kept for its reader.
Returns 1 if it is suspended and its reader needs more, else 0; and the worker that runs it, or ''."""

KEEP: Final = Script(
    "KEEP",
    keys="job stream draft content",
    args="info size rewritten",
    body="""
local life = redis.call('PTTL', stream)
if life < 0 then life = redis.call('PTTL', job) end
local whole = redis.call('STRLEN', draft) == tonumber(size)
for _, part in ipairs(cjson.decode(rewritten)) do
    local found = redis.call('GETRANGE', draft, part[1], part[1] + #part[2] / 2 - 1)
    local hex = found:gsub('.', function(byte) return string.format('%02x', byte:byte()) end)
    whole = whole and hex == part[2]
end
if life < 0 or not whole then
    redis.call('DEL', draft)
    return 0
end
redis.call('HSET', job, 'content', info)
redis.call('RENAME', draft, content)
redis.call('PEXPIRE', content, life)
return 1
""",
)
"""Keep a finished job's bytes for as long as its stream or, if it has none, as the job. 1; 0 if either is gone, or the
bytes are not those that were written: a new master may lack the last of them. ``rewritten`` are offsets and bytes."""

UNFINISHED: Final = Script(
    "UNFINISHED",
    keys="owners",
    args="unfinished_prefix life",
    body=NOW
    + """
local counts = {}
for _, owner in ipairs(redis.call('SMEMBERS', owners)) do
    local count = redis.call('ZCOUNT', unfinished_prefix .. owner, now - life, '+inf')
    if count == 0 then redis.call('SREM', owners, owner) end
    counts[#counts + 1], counts[#counts + 2] = owner, count
end
return counts
""",
)
"""The owners of the shard's unfinished jobs, each followed by their number; of those that were submitted less than
``life`` seconds ago, because earlier ones have expired."""

ANNOUNCE: Final = Script(
    "ANNOUNCE",
    keys="workers worker_info capacity",
    args="worker info alive_seconds",
    body="""
local now, changed = redis.call('TIME')[1], redis.call('EXISTS', capacity) == 0
local function remove(name)
    redis.call('ZREM', workers, name)
    changed = redis.call('HDEL', worker_info, name) == 1 or changed
end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', now)) do remove(dead) end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', workers, '(' .. now + alive_seconds, '+inf')) do
    redis.call('ZADD', workers, now + alive_seconds, name)  -- the clock has gone back
end
if info == '' then
    remove(worker)
else
    redis.call('ZADD', workers, now + alive_seconds, worker)
    changed = redis.call('HGET', worker_info, worker) ~= info or changed
    redis.call('HSET', worker_info, worker, info)
end
if changed then
    local alike = {}
    for _, each in ipairs(redis.call('HVALS', worker_info)) do
        local counts, kind = each:match('^(.-)\\n(.*)$')
        local sum = alike[kind] or {}
        for name, count in pairs(cjson.decode(counts)) do sum[name] = (sum[name] or 0) + count end
        alike[kind] = sum
    end
    redis.call('DEL', capacity)
    for kind, sum in pairs(alike) do redis.call('HSET', capacity, kind, cjson.encode(sum)) end
end
for _, name in ipairs({workers, worker_info, capacity}) do redis.call('EXPIRE', name, alive_seconds) end
return 1
""",
)
"""A worker is alive and describes itself, or leaves if ``info`` is empty; dead ones are removed. ``info`` is a JSON
object of counts, a line feed, and what workers that are alike have in common. ``capacity`` has the sums of the counts
of those that are alike, so that its size does not depend on how many they are; API processes read nothing else."""

ENROL: Final = Script(
    "ENROL",
    keys="enrolled enrolled_until",
    args="worker alive_seconds",
    body="""
local now = redis.call('TIME')[1]
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', enrolled_until, '-inf', now)) do
    redis.call('ZREM', enrolled, dead)
    redis.call('ZREM', enrolled_until, dead)
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', enrolled_until, '(' .. now + alive_seconds, '+inf')) do
    redis.call('ZADD', enrolled_until, now + alive_seconds, name)  -- the clock has gone back
end
redis.call('ZADD', enrolled_until, now + alive_seconds, worker)
redis.call('ZADD', enrolled, 0, worker)
return {redis.call('ZRANK', enrolled, worker), redis.call('ZCARD', enrolled)}
""",
)
"""A worker is alive: its place in the list of all workers' names, and how many there are."""

SAVE_SESSION: Final = Script(
    "SAVE_SESSION",
    keys="session",
    args="holder seconds owner state",
    body="""
local current = redis.call('HGET', session, 'holder')
if current and current ~= holder then return 0 end
if not current and #state < 2 then return -1 end
if #state >= 2 then
    redis.call('HSET', session, 'holder', holder, 'owner', owner, 'state', state)
elseif state == '-' then
    redis.call('HDEL', session, 'owner', 'state')
end
return redis.call('EXPIRE', session, seconds)
""",
)
"""Write the state and keep the session for so many seconds from now. '' leaves the state as it is, '-' deletes all but
the holder. 0 if another connection holds the session; -1 if there is neither a session nor a state."""

CLAIM_SESSION: Final = Script(
    "CLAIM_SESSION",
    keys="session",
    args="holder seconds owner",
    body="""
if redis.call('HGET', session, 'owner') ~= owner then return false end
redis.call('HSET', session, 'holder', holder)
redis.call('EXPIRE', session, seconds)
return redis.call('HGET', session, 'state')
""",
)
"""Take the session over from whatever connection holds it. Its state; nothing if this owner has no such session."""
