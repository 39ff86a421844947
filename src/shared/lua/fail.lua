-- Ends a read that failed or was given up: its waiters get the failure, a hold begins, and the lease ends.
-- KEYS: 1 the account's state, 2 its calls.
-- Arguments: balance, lease, turn, failure, scope of the hold (a account, b balance, c credential, or none), first
-- (its first length), most (its longest), doubles (each failure in a row doubles it), channel, credential, order (as
-- in `enter`), waiting (the balances whose waiters are woken).
local balance, turn = arguments.balance, text(arguments.turn)
local held = 0
if arguments.scope ~= '' then
  local whose = ({ a = '', b = balance, c = arguments.credential })[arguments.scope]
  held = arguments.first
  -- The field with the time of the last failure in this scope. Each scope counts its own failures in a row.
  local last = 'd' .. arguments.scope .. whose
  if arguments.doubles then
    local row = 'r' .. arguments.scope .. whose
    local times = number(redis.call('HGET', state, row), 20)
    -- Reads that ran at the same time count as one failure.
    if times == 0 or number(redis.call('HGET', state, last), now) <= arguments.turn then
      times = math.min(times + 1, 20)
      redis.call('HSET', state, row, text(times))
    end
    held = math.min(held * 2 ^ (times - 1), arguments.most)
  end
  local field = 'h' .. arguments.scope .. whose
  local longer = string.match(redis.call('HGET', state, field) or '', '^(%d+) ')
  if number(longer, now + arguments.most) <= now + held then
    redis.call('HSET', state, field, text(now + held) .. ' ' .. arguments.failure)
  end
  redis.call('HSET', state, 'failed', text(now), last, text(now))
end
if arguments.failure ~= '' then
  redis.call('HSET', state, 'f' .. balance, turn .. ' ' .. text(now + held) .. ' ' .. arguments.failure)
end
local lease = redis.call('HGET', state, 'l' .. arguments.order)
if lease and string.match(lease, ' (%x+)$') == arguments.lease then
  -- A replica that did not receive the grant of its lease does not know the turn.
  turn = string.match(lease, '^%d+')
  redis.call('HDEL', state, 'l' .. arguments.order)
end
for _, waiting in ipairs(arguments.waiting) do
  redis.call('PUBLISH', arguments.channel, 'ended ' .. waiting .. ' ' .. turn)
end
return answer('noted', text(held))
