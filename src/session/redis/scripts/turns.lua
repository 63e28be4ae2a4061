-- A session and some of its turns, oldest first, and the number of the first. Its time to live goes on.
-- KEYS: meta, turns. ARGV: number of the first turn asked for, most turns.
local meta = redis.call('HGETALL', KEYS[1])
if #meta == 0 then return false end
local first = tonumber(redis.call('HGET', KEYS[1], 'first'))
local from = math.max(first, tonumber(ARGV[1]))
if ARGV[2] == '0' then return { meta, {}, from } end
return { meta, redis.call('LRANGE', KEYS[2], from - first, from - first + tonumber(ARGV[2]) - 1), from }
