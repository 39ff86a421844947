-- Takes the right to act on notifications of an account, once per pause. KEYS: 1 the account's state.
-- Arguments: since (how long ago the notification came), pause, life in milliseconds.
local last = number(redis.call('HGET', KEYS[1], 'notified'), now)
if last > 0 and last >= now - arguments.since then
  return answer('done')
end
local wait = last + arguments.pause - now
if last > 0 and wait > 0 then
  return answer('wait', text(wait))
end
redis.call('HSET', KEYS[1], 'notified', text(now))
redis.call('PEXPIRE', KEYS[1], arguments.life)
return answer('ours')
