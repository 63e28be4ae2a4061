-- Takes ids out of an owner's list whose records are gone, unless they were written again meanwhile. One noted a moment
-- ago stays: its record may be on its way to another server of the cluster.
-- KEYS: list. ARGV: milliseconds of a moment, each id and the score it was seen with, or nothing for any.
local now = redis.call('TIME')[1] * 1000
local gone = 0
for i = 2, #ARGV, 2 do
    local score = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or '')
    local seen = tonumber(ARGV[i + 1])
    if score and (not seen or score == seen) and score < now - tonumber(ARGV[1]) then
        gone = gone + redis.call('ZREM', KEYS[1], ARGV[i])
    end
end
return gone
