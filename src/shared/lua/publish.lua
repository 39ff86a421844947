-- Publishes the snapshots of a read: stores each unless a younger one is stored, and ends the lease.
-- KEYS: 1 the account's state, 2 its calls, then the snapshot of each balance.
-- ARGV: from 2 on, the encrypted snapshots.
-- Arguments: balances, lease, turn, instant, epoch (of the grant), max_age, channel, credential, order (as in `enter`),
-- waiting (the balances whose waiters are woken).
local epoch_in_force = redis.call('HGET', state, 'epoch')
local life = math.floor((arguments.instant + arguments.max_age - now) / 1000)

local function store(balance, key, sealed)
  local mark = number(redis.call('HGET', state, 'm' .. balance), latest)
  local stored = redis.call('HMGET', key, 'n', 't', 'e')
  local stored_turn, stored_instant = number(stored[1], latest), number(stored[2], now)
  local is_usable = stored[3] and stored[3] == epoch_in_force and stored_turn > mark and stored_instant > 0
  -- Turn and instant are both compared, because an answer with an `Age` is older than its turn.
  local is_behind = is_usable and (stored_turn >= arguments.turn or stored_instant > arguments.instant)
  if arguments.turn > mark and arguments.epoch == epoch_in_force and not is_behind and life > 0 then
    redis.call('DEL', key)
    redis.call('HSET', key, 'n', text(arguments.turn), 't', text(arguments.instant), 'v', sealed, 'e', arguments.epoch)
    redis.call('PEXPIRE', key, text(life))
  end
end

-- A success ends only failures that were known before its read began.
local ends_failures = number(redis.call('HGET', state, 'failed'), now) <= arguments.turn
if ends_failures then
  redis.call('HDEL', state, 'ha', 'hc' .. arguments.credential, 'ra', 'rc' .. arguments.credential)
end
for place, balance in ipairs(arguments.balances) do
  store(balance, KEYS[place + 2], ARGV[place + 1])
  if ends_failures then
    redis.call('HDEL', state, 'hb' .. balance, 'rb' .. balance, 'f' .. balance)
  end
end
local lease = redis.call('HGET', state, 'l' .. arguments.order)
if lease and string.match(lease, ' (%x+)$') == arguments.lease then
  redis.call('HDEL', state, 'l' .. arguments.order)
end
-- A snapshot that was read without the store has no waiters.
if arguments.lease ~= '' then
  for _, waiting in ipairs(arguments.waiting) do
    redis.call('PUBLISH', arguments.channel, 'ended ' .. waiting .. ' ' .. text(arguments.turn))
  end
end
return answer('published')
