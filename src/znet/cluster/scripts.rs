//! What is done in Redis in one step each.
//!
//! Keys, behind the prefix: `n:NODE` is the lease of a node and holds its incarnation; `f:INCARNATION` says which of its connections
//! to Redis it uses now (`o`, by number) and how many entries of its stream it has read (`r`); `nodes` are the names of all that have been there,
//! by the time of their last renewal; `s:NODE` is the stream that a node reads; `u:{UID}` are the logins of a user:
//! `NODE/INCARNATION/LOGIN` with `GENERATION CONN`; `w:MARK-CONN` is where a connection has moved to, as `MARK-CONN`; `q:INCARNATION-REQUEST`
//! is what has become of the question for a connection: `moved` or `stays`, whichever was there first. `durable_scripts.rs` has those of a
//! connection that survives its node.
//!
//! What a node has sent on a connection that it has given up may still arrive, after anything that it has sent on the next one. That
//! begins with `FENCE`, and from then on logins and messages of earlier ones are refused: the node has given them up too, and messages
//! stay in order.

use redis::Cmd;

use super::durable_scripts::{SAVE, SETTLE, TAKE_OVER};
use super::step::Step;

/// The commands that load all of them.
pub(super) fn load() -> Vec<Cmd> {
    let all = [
        &FENCE,
        &RENEW,
        &LEAVE,
        &CLAIM,
        &KEEP,
        &SEND,
        &SEND_ALL,
        &SEND_TO,
        &FIND,
        &CHANGE_OVER,
        &STAY,
        &SAVE,
        &TAKE_OVER,
        &SETTLE,
    ];
    all.into_iter().map(Step::load).collect()
}

step!(
    /// The first of a new connection. Key: what the node says of itself. Arguments: number of the connection, milliseconds that the key
    /// stays.
    FENCE,
    "redis.call('PEXPIRE', KEYS[1], ARGV[2])
if not is_stale(KEYS[1], ARGV[1]) then redis.call('HSET', KEYS[1], 'o', ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1"
);

step!(
    /// Key: the lease. Arguments: incarnation, milliseconds, key of the nodes, name, stream, milliseconds that it stays if this node is
    /// killed, prefix, number of the connection, entries read. 1: renewed; 2: taken; 0: another has it; 3: a newer connection of this
    /// node is in use.
    RENEW,
    "local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
local fence, now = ARGV[7] .. ':f:' .. ARGV[1], tonumber(redis.call('TIME')[1])
if is_stale(fence, ARGV[8]) then return 3 end
-- First what is possible in a full Redis: it does not refuse what follows a change. A node that has been there may come back.
if held then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif redis.call('HEXISTS', fence, 'r') == 1 then
  redis.call('PEXPIRE', fence, ARGV[6])
end
-- A clock that was set back: leases would last until it is as late again.
local ahead = tonumber(redis.call('ZREVRANGE', ARGV[3], 0, 0, 'WITHSCORES')[2] or 0) - now
if ahead > 0 then
  for _, node in ipairs(redis.call('ZRANGE', ARGV[3], 0, -1)) do
    local lease = ARGV[7] .. ':n:' .. node
    local left = redis.call('PTTL', lease)
    if left > tonumber(ARGV[2]) then redis.call('PEXPIRE', lease, math.max(left - ahead * 1000, 1)) end
    redis.call('ZADD', ARGV[3], now, node)
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', fence, 'o', ARGV[8], 'r', ARGV[9])
redis.call('PEXPIRE', fence, ARGV[6])
redis.call('ZADD', ARGV[3], now, ARGV[4])
redis.call('ZREMRANGEBYSCORE', ARGV[3], '-inf', '(' .. (now - ARGV[6] / 1000))
if redis.call('PEXPIRE', ARGV[5], ARGV[6]) == 0 then
  -- An empty stream, so that what is left of it if this node is killed goes with it.
  redis.call('XGROUP', 'CREATE', ARGV[5], 'x', '$', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', ARGV[5], 'x')
  redis.call('PEXPIRE', ARGV[5], ARGV[6])
end
if held then return 1 end
return 2"
);

step!(
    /// Key: the lease. Arguments: incarnation, key of the nodes, name, stream, key of what it says of itself.
    LEAVE,
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], ARGV[4], ARGV[5])
redis.call('ZREM', ARGV[2], ARGV[3])
return 1"
);

step!(
    /// Key: the user's logins. Arguments: prefix, node, incarnation, login, conn, policy (kick, reject, multi), user, longest stream,
    /// number of the connection, milliseconds that the key stays. {1, generation}; {0, node, conn} if another login stands against it;
    /// {2} if this node has no lease, or uses a newer connection.
    CLAIM,
    "local prefix = ARGV[1]
if redis.call('GET', prefix .. ':n:' .. ARGV[2]) ~= ARGV[3] then return {2} end
if is_stale(prefix .. ':f:' .. ARGV[3], ARGV[9]) then return {2} end
local newest, others = 0, {}
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local node, incarnation, login = string.match(held[i], '^(.*)/(.*)/(.*)$')
  local generation, conn = string.match(held[i + 1], '^(.*) (.*)$')
  newest = math.max(newest, tonumber(generation))
  if redis.call('GET', prefix .. ':n:' .. node) == incarnation then
    others[#others + 1] = {held[i], node, incarnation, login, conn}
  else
    redis.call('HDEL', KEYS[1], held[i])
  end
end
if ARGV[6] == 'reject' and #others > 0 then return {0, others[1][2], others[1][5]} end
if ARGV[6] == 'kick' then
  for _, other in ipairs(others) do
    redis.call('HDEL', KEYS[1], other[1])
    redis.call('XADD', prefix .. ':s:' .. other[2], 'MAXLEN', '~', ARGV[8], '*',
      'k', 'x', 'i', other[3], 'u', ARGV[7], 'l', other[4], 'c', other[5])
  end
end
local now = redis.call('TIME')
local generation = string.format('%.0f', math.max(newest + 1, now[1] * 1000000 + now[2]))
redis.call('HSET', KEYS[1], ARGV[2] .. '/' .. ARGV[3] .. '/' .. ARGV[4], generation .. ' ' .. ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[10])
return {1, generation}"
);

step!(
    /// After a time in which Redis was not reached, or a gap in the stream, and now and then. Key: the user's logins. Arguments: prefix,
    /// field, generation, conn, shared (1: others may be beside it), longest stream, incarnation, number of the connection, milliseconds
    /// that the key stays. 1: it is there; 0: a newer login has replaced it; 3: the node uses a newer connection.
    KEEP,
    "local prefix = ARGV[1]
if is_stale(prefix .. ':f:' .. ARGV[7], ARGV[8]) then return 3 end
redis.call('PEXPIRE', KEYS[1], ARGV[9])
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then return 1 end
local older = {}
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local node, incarnation, login = string.match(held[i], '^(.*)/(.*)/(.*)$')
  local generation, conn = string.match(held[i + 1], '^(.*) (.*)$')
  if redis.call('GET', prefix .. ':n:' .. node) ~= incarnation then
    redis.call('HDEL', KEYS[1], held[i])
  elseif ARGV[5] ~= '1' then
    if tonumber(generation) > tonumber(ARGV[3]) then return 0 end
    older[#older + 1] = {held[i], node, incarnation, login, conn}
  end
end
for _, other in ipairs(older) do
  redis.call('HDEL', KEYS[1], other[1])
  redis.call('XADD', prefix .. ':s:' .. other[2], 'MAXLEN', '~', ARGV[6], '*',
    'k', 'x', 'i', other[3], 'l', other[4], 'c', other[5])
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. ' ' .. ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[9])
return 1"
);

step!(
    /// Puts an entry into the stream of each other node on which the user is logged in, or of the one where the newest login is. Key: the
    /// user's logins. Arguments: prefix, this node, which (all, newest, none, kick: all, and the entry says which login is the newest),
    /// longest stream, incarnation, number of the connection, fields and values of the entry. The number of nodes; with none, of those
    /// where the user is logged in, this one included.
    SEND,
    "local prefix, count, newest, best, told = ARGV[1], 0, -1, nil, {}
if is_stale(prefix .. ':f:' .. ARGV[5], ARGV[6]) then return redis.error_reply(STALE) end
local entry, which = {}, ARGV[3]
for i = 7, #ARGV do entry[#entry + 1] = ARGV[i] end
local function tell(node, incarnation)
  redis.call('XADD', prefix .. ':s:' .. node, 'MAXLEN', '~', ARGV[4], '*', 'i', incarnation, unpack(entry))
end
local held = redis.call('HGETALL', KEYS[1])
if which == 'kick' then
  local last = '0'
  for i = 2, #held, 2 do
    local generation = string.match(held[i], '^(.*) .*$')
    if tonumber(generation) > tonumber(last) then last = generation end
  end
  entry[#entry + 1] = 'g'
  entry[#entry + 1] = last
  which = 'all'
end
for i = 1, #held, 2 do
  local node, incarnation = string.match(held[i], '^(.*)/(.*)/.*$')
  local generation = tonumber(string.match(held[i + 1], '^(.*) .*$'))
  if redis.call('GET', prefix .. ':n:' .. node) == incarnation then
    if which == 'none' then
      count = count + 1
    elseif node ~= ARGV[2] and which == 'all' and not told[node] then
      told[node] = true
      count = count + 1
      tell(node, incarnation)
    elseif which == 'newest' and generation > newest then
      newest, best = generation, {node, incarnation}
    end
  end
end
if best and best[1] ~= ARGV[2] then
  count = 1
  tell(best[1], best[2])
end
return count"
);

step!(
    /// Puts an entry into the stream of each other node that is alive. Key: the nodes. Arguments: prefix, this node, longest stream,
    /// incarnation, number of the connection, fields and values of the entry. The number of nodes.
    SEND_ALL,
    "local prefix, count, entry = ARGV[1], 0, {}
if is_stale(prefix .. ':f:' .. ARGV[4], ARGV[5]) then return redis.error_reply(STALE) end
for i = 6, #ARGV do entry[#entry + 1] = ARGV[i] end
for _, node in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local incarnation = redis.call('GET', prefix .. ':n:' .. node)
  if incarnation and node ~= ARGV[2] then
    count = count + 1
    redis.call('XADD', prefix .. ':s:' .. node, 'MAXLEN', '~', ARGV[3], '*', 'i', incarnation, unpack(entry))
  end
end
return count"
);

step!(
    /// Puts an entry into the stream of a node, if it is alive. Key: its lease. Arguments: its stream, longest stream, what this node says
    /// of itself, number of the connection, fields and values of the entry. 1, or 0 if it is not alive.
    SEND_TO,
    "local incarnation = redis.call('GET', KEYS[1])
if not incarnation then return 0 end
if is_stale(ARGV[3], ARGV[4]) then return redis.error_reply(STALE) end
local entry = {}
for i = 5, #ARGV do entry[#entry + 1] = ARGV[i] end
redis.call('XADD', ARGV[1], 'MAXLEN', '~', ARGV[2], '*', 'i', incarnation, unpack(entry))
return 1"
);

step!(
    /// Asks the node that has a connection for it. Key: the nodes. Arguments: prefix, this incarnation, mark and connection, longest
    /// stream, fields and values of the entry. {1, survives}: it is asked, and the connection survives it (1) or not;
    /// {2, conn}: this node has it; {0, at}: no node that is alive has it, and that is what it was called last, as mark and connection.
    FIND,
    "local prefix, at = ARGV[1], ARGV[3]
for _ = 1, 64 do
  local moved = redis.call('GET', prefix .. ':w:' .. at)
  if not moved then break end
  at = moved
end
local mark, conn = string.match(at, '^(%x+)-(%d+)$')
if mark == string.sub(ARGV[2], 1, 6) then return {2, conn} end
local entry = {}
for i = 5, #ARGV do entry[#entry + 1] = ARGV[i] end
for _, node in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local incarnation = redis.call('GET', prefix .. ':n:' .. node)
  if incarnation and string.sub(incarnation, 1, 6) == mark then
    redis.call('XADD', prefix .. ':s:' .. node, 'MAXLEN', '~', ARGV[4], '*', 'i', incarnation, 'c', conn, unpack(entry))
    return {1, redis.call('EXISTS', prefix .. ':d:' .. at)}
  end
end
return {0, at}"
);

step!(
    /// Changes over from one node to another. Key: where the connection has moved to. Arguments: prefix, node, incarnation, the other
    /// node, its incarnation, mark and connection there, milliseconds that the key stays, key of the question, the last moment in
    /// milliseconds, longest stream, connection, number of the question, connection there, login there, groups, mark and connection here;
    /// if there is a user: its logins, the field, the field there, the user, shared (1). 1: done; 0: not.
    CHANGE_OVER,
    "local prefix = ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('GET', prefix .. ':n:' .. ARGV[2]) ~= ARGV[3] then return 0 end
if redis.call('GET', prefix .. ':n:' .. ARGV[4]) ~= ARGV[5] then return 0 end
local now = redis.call('TIME')
if now[1] * 1000 + math.floor(now[2] / 1000) > tonumber(ARGV[9]) then return 0 end
if ARGV[17] and redis.call('HEXISTS', ARGV[17], ARGV[18]) == 0 then return 0 end
if not redis.call('SET', ARGV[8], 'moved', 'NX', 'PX', 60000) then return 0 end
local more = {}
if ARGV[17] then
  local newest, held = 0, redis.call('HVALS', ARGV[17])
  for i = 1, #held do newest = math.max(newest, tonumber(string.match(held[i], '^(.*) '))) end
  local generation = string.format('%.0f', math.max(newest + 1, now[1] * 1000000 + now[2]))
  -- In this order: without a field the key would go, and with it the time that it stays.
  redis.call('HSET', ARGV[17], ARGV[19], generation .. ' ' .. ARGV[13])
  redis.call('HDEL', ARGV[17], ARGV[18])
  more = {'g', generation, 'u', ARGV[20], 'm', ARGV[21]}
end
redis.call('SET', KEYS[1], ARGV[6], 'PX', ARGV[7])
if redis.call('EXISTS', prefix .. ':d:' .. ARGV[16]) == 1 then
  -- It survives its node: what the first node still reads for it, it writes there too.
  redis.call('RENAME', prefix .. ':d:' .. ARGV[16], prefix .. ':d:' .. ARGV[6])
  redis.call('SET', prefix .. ':l:' .. ARGV[16], ARGV[6], 'PX', 60000)
  more[#more + 1] = 'b'
  more[#more + 1] = ARGV[16]
end
redis.call('XADD', prefix .. ':s:' .. ARGV[2], 'MAXLEN', '~', ARGV[10], '*',
  'k', 'L', 'i', ARGV[3], 'c', ARGV[11], 'r', ARGV[12])
redis.call('XADD', prefix .. ':s:' .. ARGV[4], 'MAXLEN', '~', ARGV[10], '*',
  'k', 'A', 'i', ARGV[5], 'c', ARGV[13], 'r', ARGV[12], 'l', ARGV[14], 'd', ARGV[15], unpack(more))
return 1"
);

step!(
    /// Whether a connection has moved; if not, it stays. Key: the question for it. 1: moved; 0: it stays.
    STAY,
    "if redis.call('SET', KEYS[1], 'stays', 'NX', 'PX', 60000) then return 0 end
if redis.call('GET', KEYS[1]) == 'moved' then return 1 end
return 0"
);
