-- Shows that scripts run and may write.
-- KEYS: one for this alone. ARGV: how long it stays.
redis.call('TIME')
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
return 1
