-- A session and its last turns, newest first; its time to live begins anew.
-- KEYS: meta, turns, ids. ARGV: most turns, most bytes of them.
local now = redis.call('TIME')[1]
local meta = redis.call('HGETALL', KEYS[1])
if #meta == 0 then return false end
local ttl = redis.call('HGET', KEYS[1], 'ttl_ms')
if ttl and ttl ~= '0' then
    for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ttl) end
end
local most, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local turns, bytes, step = {}, 0, 4
local last = redis.call('LLEN', KEYS[2]) - 1
-- In growing steps: a list may hold far more than there is room for.
while last >= 0 and #turns < most do
    local first = math.max(0, last + 1 - math.min(step, most - #turns))
    local part = redis.call('LRANGE', KEYS[2], first, last)
    for i = #part, 1, -1 do
        bytes = bytes + #part[i]
        if #turns > 0 and bytes > room then return { meta, turns, now } end
        turns[#turns + 1] = part[i]
    end
    last = first - 1
    step = step * 2
end
return { meta, turns, now }
