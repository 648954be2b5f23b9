//! What is done in Redis in one step each for connections that survive their node.
//!
//! Keys, behind the prefix: `d:MARK-CONN` is the stream of such a connection. Its entries have the id `FRAMES-HANDLED`: how many frames
//! it had ever sent, plus 1, and how many messages it had handled. The first entry holds all, each other one what came since the one
//! before. `l:MARK-CONN` is there while a node that gives the connection to another, which is its value, still writes what it has read
//! for it.

use super::step::Step;

step!(
    /// Writes down what is known of a connection. Key: its stream. Arguments: prefix, incarnation, number of the connection to Redis, mark
    /// and connection, id of the entry, milliseconds that it stays, id of the entry that it follows (empty: it holds all), fields and
    /// values of the entry. 1: done; 0: what it follows is not there; otherwise the name of the node that has the connection, which may be empty.
    SAVE,
    "local prefix, stream = ARGV[1], KEYS[1]
if is_stale(prefix .. ':f:' .. ARGV[2], ARGV[3]) then return redis.error_reply(STALE) end
local moved = redis.call('GET', prefix .. ':w:' .. ARGV[4])
local function whose()
  for _, node in ipairs(redis.call('ZRANGE', prefix .. ':nodes', 0, -1)) do
    local incarnation = redis.call('GET', prefix .. ':n:' .. node)
    if incarnation and string.sub(incarnation, 1, 6) == string.sub(moved, 1, 6) then return node end
  end
  return ''
end
if moved then
  if ARGV[7] == '' or redis.call('GET', prefix .. ':l:' .. ARGV[4]) ~= moved then return whose() end
  stream = prefix .. ':d:' .. moved
end
local entry = {}
for i = 8, #ARGV do entry[#entry + 1] = ARGV[i] end
if ARGV[7] == '' then
  redis.call('DEL', stream)
else
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if not last or last[1] ~= ARGV[7] then return moved and whose() or 0 end
end
redis.call('XADD', stream, ARGV[5], unpack(entry))
redis.call('PEXPIRE', stream, ARGV[6])
return 1"
);

step!(
    /// Takes over a connection whose node is dead. Key: its stream. Arguments: prefix, node, incarnation, number of the connection to
    /// Redis, mark and connection there, mark and connection here, milliseconds that it is known where it has moved to, id of the last
    /// entry that was read, milliseconds that the stream stays, key of the nodes, longest stream, key of the question, connection, number of
    /// the question, login, groups; if there is a user: the user, shared (1), milliseconds that the logins stay. 1: done; 0: not, try again;
    /// 2: its login has ended.
    TAKE_OVER,
    "local prefix = ARGV[1]
if is_stale(prefix .. ':f:' .. ARGV[3], ARGV[4]) then return redis.error_reply(STALE) end
if redis.call('EXISTS', prefix .. ':w:' .. ARGV[5]) == 1 then return 0 end
if redis.call('GET', prefix .. ':n:' .. ARGV[2]) ~= ARGV[3] then return 0 end
local mark, old = string.match(ARGV[5], '^(%x+)-(%d+)$')
for _, node in ipairs(redis.call('ZRANGE', ARGV[10], 0, -1)) do
  local incarnation = redis.call('GET', prefix .. ':n:' .. node)
  if incarnation and string.sub(incarnation, 1, 6) == mark then return 0 end
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last or last[1] ~= ARGV[8] then return 0 end
local logins, field, newest, more = nil, nil, 0, {'b', ARGV[5]}
if ARGV[17] then
  logins = prefix .. ':u:{' .. ARGV[17] .. '}'
  local held = redis.call('HGETALL', logins)
  for i = 1, #held, 2 do
    local incarnation = string.match(held[i], '^.*/(.*)/.*$')
    local generation, conn = string.match(held[i + 1], '^(.*) (.*)$')
    newest = math.max(newest, tonumber(generation))
    if conn == old and string.sub(incarnation, 1, 6) == mark then field = held[i] end
  end
  if not field and ARGV[18] ~= '1' then return 2 end
end
if not redis.call('SET', ARGV[12], 'moved', 'NX', 'PX', 60000) then return 0 end
if logins then
  local now = redis.call('TIME')
  local generation = string.format('%.0f', math.max(newest + 1, now[1] * 1000000 + now[2]))
  redis.call('HSET', logins, ARGV[2] .. '/' .. ARGV[3] .. '/' .. ARGV[15], generation .. ' ' .. ARGV[13])
  if field then redis.call('HDEL', logins, field) end
  redis.call('PEXPIRE', logins, ARGV[19])
  more = {'b', ARGV[5], 'g', generation, 'u', ARGV[17], 'm', ARGV[18]}
end
redis.call('SET', prefix .. ':w:' .. ARGV[5], ARGV[6], 'PX', ARGV[7])
redis.call('RENAME', KEYS[1], prefix .. ':d:' .. ARGV[6])
redis.call('PEXPIRE', prefix .. ':d:' .. ARGV[6], ARGV[9])
redis.call('XADD', prefix .. ':s:' .. ARGV[2], 'MAXLEN', '~', ARGV[11], '*',
  'k', 'A', 'i', ARGV[3], 'c', ARGV[13], 'r', ARGV[14], 'l', ARGV[15], 'd', ARGV[16], unpack(more))
return 1"
);

step!(
    /// What is there of a connection that has moved here, if the node that was to send it has ended it or is dead. That one writes nothing
    /// more then. Key: the stream. Arguments: prefix, mark and connection there, key of the nodes. {1, entries}; {0} if it may still come.
    SETTLE,
    "local prefix, left = ARGV[1], ARGV[1] .. ':l:' .. ARGV[2]
if redis.call('EXISTS', left) == 1 then
  local mark = string.match(ARGV[2], '^(%x+)-')
  for _, node in ipairs(redis.call('ZRANGE', ARGV[3], 0, -1)) do
    local incarnation = redis.call('GET', prefix .. ':n:' .. node)
    if incarnation and string.sub(incarnation, 1, 6) == mark then return {0} end
  end
  redis.call('DEL', left)
end
return {1, redis.call('XRANGE', KEYS[1], '-', '+')}"
);
