-- Writes a turn behind all others, once.
-- KEYS: meta, turns, ids. ARGV: turn, its id, epoch it began in or nothing, epoch of a new session, whether it brings a
-- system prompt, that prompt, title, time to live of a new session, most turns, most bytes, input tokens, output tokens,
-- cost, upstream, model, and of a new session its kind, owner and id.
-- Before any write: what a user may not do must not end a script half way.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local held = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'ttl_ms', 'first', 'turns', 'bytes')
local epoch, ttl = held[1], held[3]
if ARGV[3] ~= '' and ARGV[3] ~= epoch then return { 'gone' } end
local first, turns, bytes = tonumber(held[4] or 0), tonumber(held[5] or 0), tonumber(held[6] or 0)
if epoch then
    local number = redis.call('ZSCORE', KEYS[3], ARGV[2])
    if number then return { 'stored', tonumber(number), tonumber(held[2]), ttl } end
    if redis.call('LLEN', KEYS[2]) ~= turns then return redis.error_reply('CORRUPT turns of this session are gone') end
else
    for i = 2, 3 do
        if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('DEL', KEYS[i]) end
    end
end
-- The first write of a script is the one that a server out of memory refuses: nothing is done then.
redis.call('RPUSH', KEYS[2], ARGV[1])
local number = first + turns
redis.call('ZADD', KEYS[3], number, ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1001)
turns, bytes = turns + 1, bytes + #ARGV[1]
while turns > 1 and (turns > tonumber(ARGV[9]) or bytes > tonumber(ARGV[10])) do
    bytes = bytes - #redis.call('LPOP', KEYS[2])
    first, turns = first + 1, turns - 1
end
local set = { 'updated_at', now, 'first', first, 'turns', turns, 'bytes', bytes }
local function put(field, value)
    set[#set + 1] = field
    set[#set + 1] = value
end
if not epoch then
    ttl = ARGV[8]
    put('kind', ARGV[16])
    put('owner', ARGV[17])
    put('id', ARGV[18])
    put('epoch', ARGV[4])
    put('ttl_ms', ttl)
    put('created_at', now)
end
if ARGV[5] == '1' then put('system', ARGV[6]) end
if ARGV[7] ~= '' and redis.call('HEXISTS', KEYS[1], 'title') == 0 then put('title', ARGV[7]) end
if ARGV[14] ~= '' then put('upstream', ARGV[14]) end
if ARGV[15] ~= '' then put('model', ARGV[15]) end
redis.call('HSET', KEYS[1], unpack(set))
-- Redis adds whole numbers of 64 bits, Lua does not; what overflows stays at the most.
for i, field in ipairs({ 'input_tokens', 'output_tokens', 'cost' }) do
    local sum = redis.pcall('HINCRBY', KEYS[1], field, ARGV[10 + i])
    if type(sum) == 'table' then redis.call('HSET', KEYS[1], field, '9223372036854775807') end
end
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
if ttl ~= '0' then
    for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ttl) end
end
return { 'stored', number, version, ttl }
