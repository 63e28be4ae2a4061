-- Notes a record in its owner's list, and keeps the list for longer than any record of it lasts.
-- KEYS: list. ARGV: id, its score or nothing for the time of now, `GT` or `NX`, time to live of the list.
local time = redis.call('TIME')
local held = redis.call('PTTL', KEYS[1])
local score = ARGV[2]
if score == '' then
    score = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
redis.call('ZADD', KEYS[1], ARGV[3], score, ARGV[1])
if ARGV[4] == '0' then
    redis.call('PERSIST', KEYS[1])
elseif held == -2 or (held >= 0 and held < tonumber(ARGV[4])) then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return score
