-- Deletes a record; how many of its keys there were.
-- KEYS: meta, turns, ids.
local gone = 0
for i = 1, 3 do gone = gone + redis.call('UNLINK', KEYS[i]) end
return gone
