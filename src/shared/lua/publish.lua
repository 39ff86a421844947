-- A read has brought a snapshot: stores it unless a younger one is stored, and ends the lease.
-- KEYS: 1 the account's state, 2 its calls, 3 the balance's snapshot. ARGV: 2 the sealed snapshot.
-- Asked: balance, lease, turn, instant, epoch (of the grant), max_age, channel, credential.
local balance = ask.balance
local mark = number(redis.call('HGET', state, 'm' .. balance), latest)
local epoch_in_force = redis.call('HGET', state, 'epoch')
local stored = redis.call('HMGET', KEYS[3], 'n', 't', 'e')
local stored_turn, stored_instant = number(stored[1], latest), number(stored[2], now)
local is_usable = stored[3] and stored[3] == epoch_in_force and stored_turn > mark and stored_instant > 0
-- The instant decides together with the turn: an answer that carries an `Age` is older than its turn.
local is_behind = is_usable and (stored_turn >= ask.turn or stored_instant > ask.instant)
local life = math.floor((ask.instant + ask.max_age - now) / 1000)
if ask.turn > mark and ask.epoch == epoch_in_force and not is_behind and life > 0 then
  redis.call('DEL', KEYS[3])
  redis.call('HSET', KEYS[3], 'n', text(ask.turn), 't', text(ask.instant), 'v', ARGV[2], 'e', ask.epoch)
  redis.call('PEXPIRE', KEYS[3], text(life))
end
-- A failure of a read that was sent later is not over.
if number(redis.call('HGET', state, 'failed'), now) <= ask.turn then
  local credential = ask.credential
  redis.call('HDEL', state, 'ha', 'hb' .. balance, 'hc' .. credential, 'ra', 'rb' .. balance, 'rc' .. credential, 'f' .. balance)
end
local lease = redis.call('HGET', state, 'l' .. balance)
if lease and string.match(lease, ' (%x+)$') == ask.lease then
  redis.call('HDEL', state, 'l' .. balance)
end
-- A snapshot that was read without the store ends nobody's wait.
if ask.lease ~= '' then
  redis.call('PUBLISH', ask.channel, 'ended ' .. balance .. ' ' .. text(ask.turn))
end
return answer('published')
