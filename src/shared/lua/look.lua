-- Looks at one balance and changes nothing. KEYS: 1 the account's state, 2 the snapshot.
-- Arguments: balance, order (as in `enter`), wants_snapshot.
local balance = arguments.balance
local fields = redis.call('HMGET', KEYS[1], 'n' .. arguments.order, 'm' .. balance, 'epoch')
local last, mark = number(fields[1], latest), number(fields[2], latest)
if not arguments.wants_snapshot then
  return answer('look', text(last), text(mark))
end
local snapshot = redis.call('HMGET', KEYS[2], 'n', 't', 'v', 'e')
if not fields[3] or snapshot[4] ~= fields[3] then
  snapshot = {}
end
return answer('look', text(last), text(mark), snapshot[1] or '', snapshot[2] or '', snapshot[3] or '')
