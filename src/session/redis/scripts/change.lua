-- Edits a session that is still at a version, or at any; its fields after that, `stale`, or nothing where there is none.
-- KEYS: meta, turns, ids. ARGV: version or nothing, then `describe` and for title, metadata and time to live each whether it is
-- given and what, or `clear` and the new epoch, or `replace`, the number, the turn's id and the turn.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local held = redis.call('HMGET', KEYS[1], 'version', 'first', 'turns', 'bytes')
if not held[1] then return false end
if ARGV[1] ~= '' and held[1] ~= ARGV[1] then return 'stale' end
local first, turns, bytes = tonumber(held[2]), tonumber(held[3]), tonumber(held[4])
if ARGV[2] == 'replace' then
    local number = tonumber(ARGV[3])
    local old = number >= first and redis.call('LINDEX', KEYS[2], number - first)
    if not old then return 'stale' end
    redis.call('LSET', KEYS[2], number - first, ARGV[5])
    redis.call('ZADD', KEYS[3], number, ARGV[4])
    redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1001)
    redis.call('HSET', KEYS[1], 'bytes', bytes - #old + #ARGV[5])
elseif ARGV[2] == 'clear' then
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'first', first + turns, 'turns', 0, 'bytes', 0)
    redis.call('HDEL', KEYS[1], 'system')
    redis.call('DEL', KEYS[2])
else
    for i, field in ipairs({ 'title', 'metadata', 'ttl_ms' }) do
        local value = ARGV[2 + i * 2]
        if ARGV[1 + i * 2] == '1' and value == '' then
            redis.call('HDEL', KEYS[1], field)
        elseif ARGV[1 + i * 2] == '1' then
            redis.call('HSET', KEYS[1], field, value)
        end
    end
end
redis.call('HSET', KEYS[1], 'updated_at', now)
redis.call('HINCRBY', KEYS[1], 'version', 1)
local ttl = redis.call('HGET', KEYS[1], 'ttl_ms')
for i = 1, 3 do
    if ttl == '0' then redis.call('PERSIST', KEYS[i]) else redis.call('PEXPIRE', KEYS[i], ttl) end
end
return redis.call('HGETALL', KEYS[1])
