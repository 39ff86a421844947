-- Takes the right to act on notifications of an account, once in a pause. KEYS: 1 the account's state.
-- ARGV: 1 how long ago the notification came, 2 the pause, 3 life in milliseconds.
local last = number(redis.call('HGET', KEYS[1], 'notified'), now)
if last > 0 and last >= now - tonumber(ARGV[1]) then
  return answer('done')
end
local wait = last + tonumber(ARGV[2]) - now
if last > 0 and wait > 0 then
  return answer('wait', text(wait))
end
redis.call('HSET', KEYS[1], 'notified', text(now))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return answer('ours')
