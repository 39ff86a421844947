-- What is known of a balance; nothing is changed. KEYS: 1 the account's state, 2 the snapshot.
-- ARGV: 1 the balance, 2 whether the snapshot is wanted.
local balance = ARGV[1]
local fields = redis.call('HMGET', KEYS[1], 'n' .. balance, 'm' .. balance)
local last, mark = number(fields[1], latest), number(fields[2], latest)
if ARGV[2] == '0' then
  return answer('look', text(last), text(mark))
end
local snapshot = redis.call('HMGET', KEYS[2], 'n', 't', 'v')
return answer('look', text(last), text(mark), snapshot[1] or '', snapshot[2] or '', snapshot[3] or '')
