-- Goes before a script that is sent with its first key alone, while a slot of a cluster is under way: a server that gets the
-- slot lets nobody name several keys unless all of them are there, and of a new record none is. The other keys stand at the
-- end of ARGV, and how many there are. A record that is there may have left a part of itself behind: it has to wait.
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.error_reply('TRYAGAIN the record is under way') end
for i = tonumber(table.remove(ARGV)) + 1, 2, -1 do KEYS[i] = table.remove(ARGV) end
