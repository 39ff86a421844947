-- Invalidates balances of an account from now on. KEYS: 1 the account's state, then a snapshot for each balance.
-- Arguments: channel, life in milliseconds, balances and, in the same sequence, orders (as in `enter`) and highest (the
-- highest turns that the replica knows).
local mark = math.ceil(now / 1000) * 1000
for place, balance in ipairs(arguments.balances) do
  if arguments.orders[place] ~= balance then
    mark = math.max(mark, number(redis.call('HGET', KEYS[1], 'common'), latest))
  end
  local fields = redis.call('HMGET', KEYS[1], 'm' .. balance, 'n' .. arguments.orders[place])
  -- Above the previous mark, even if the clock was set back: replicas take two marks with one number for the same.
  mark = math.max(mark, number(fields[1], latest) + 1, number(fields[2], latest),
    number(arguments.highest[place], latest))
end
mark = math.ceil(mark / 1000) * 1000
for place, balance in ipairs(arguments.balances) do
  redis.call('HSET', KEYS[1], 'm' .. balance, text(mark))
  redis.call('DEL', KEYS[place + 1])
  redis.call('PUBLISH', arguments.channel, 'marked ' .. balance .. ' ' .. text(mark))
end
redis.call('PEXPIRE', KEYS[1], arguments.life)
return answer('marked', text(mark))
