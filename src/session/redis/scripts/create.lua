-- Makes a record, unless there is one; whether it was made.
-- KEYS: meta, turns, ids. ARGV: time to live, how many fields, each field and its value, number of the first turn, each
-- turn's id and the turn.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for i = 2, 3 do
    if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('DEL', KEYS[i]) end
end
local at = 3
for _ = 1, tonumber(ARGV[2]) do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    at = at + 2
end
local number = tonumber(ARGV[at])
at = at + 1
while at < #ARGV do
    redis.call('RPUSH', KEYS[2], ARGV[at + 1])
    if at >= #ARGV - 2000 then redis.call('ZADD', KEYS[3], number, ARGV[at]) end
    number, at = number + 1, at + 2
end
if ARGV[1] ~= '0' then
    for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[1]) end
end
return 1
