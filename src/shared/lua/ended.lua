-- A call has ended. KEYS: 1 the account's state, 2 its calls.
-- Arguments: call, per (how long it still counts; 0 for a call that was not sent), life in milliseconds.
if arguments.per > 0 then
  -- Added if it is missing, because a new log may have begun while the call ran.
  redis.call('ZADD', calls, text(now + arguments.per), arguments.call)
  redis.call('PEXPIRE', calls, arguments.life)
else
  redis.call('ZADD', calls, 'XX', text(now), arguments.call)
end
return answer('ended')
