-- Ends a read that failed or was given up: its waiters get the failure, a hold begins, and the lease ends.
-- KEYS: 1 the account's state, 2 its calls.
-- Asked: balance, lease, turn, failure, scope of the hold (a account, b balance, c credential, or none), first (its first
-- length), most (its longest), doubles (each failure in a row doubles it), channel, credential, order (as in `enter`),
-- waiting (the balances whose waiters are woken).
local balance, turn = ask.balance, text(ask.turn)
local held = 0
if ask.scope ~= '' then
  local whose = ({ a = '', b = balance, c = ask.credential })[ask.scope]
  held = ask.first
  -- The field with the time of the last failure in this scope. Each scope counts its own failures in a row.
  local last = 'd' .. ask.scope .. whose
  if ask.doubles then
    local row = 'r' .. ask.scope .. whose
    local times = number(redis.call('HGET', state, row), 20)
    -- Reads that ran at the same time count as one failure.
    if times == 0 or number(redis.call('HGET', state, last), now) <= ask.turn then
      times = math.min(times + 1, 20)
      redis.call('HSET', state, row, text(times))
    end
    held = math.min(held * 2 ^ (times - 1), ask.most)
  end
  local field = 'h' .. ask.scope .. whose
  local longer = string.match(redis.call('HGET', state, field) or '', '^(%d+) ')
  if number(longer, now + ask.most) <= now + held then
    redis.call('HSET', state, field, text(now + held) .. ' ' .. ask.failure)
  end
  redis.call('HSET', state, 'failed', text(now), last, text(now))
end
if ask.failure ~= '' then
  redis.call('HSET', state, 'f' .. balance, turn .. ' ' .. text(now + held) .. ' ' .. ask.failure)
end
local lease = redis.call('HGET', state, 'l' .. ask.order)
if lease and string.match(lease, ' (%x+)$') == ask.lease then
  -- A replica that did not receive the grant of its lease does not know the turn.
  turn = string.match(lease, '^%d+')
  redis.call('HDEL', state, 'l' .. ask.order)
end
for _, waiting in ipairs(ask.waiting) do
  redis.call('PUBLISH', ask.channel, 'ended ' .. waiting .. ' ' .. turn)
end
return answer('noted', text(held))
