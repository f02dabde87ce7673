-- The most steps that a number below limit takes to reach 1 in the Collatz sequence; numbers stay below 2^53.
return function(limit)
  local longest = 0
  for start = 1, limit - 1 do
    local n, steps = start, 0
    while n ~= 1 do
      if n % 2 == 1 then
        n = n * 3 + 1
      else
        n = n / 2
      end
      steps = steps + 1
    end
    if steps > longest then
      longest = steps
    end
  end
  return longest
end
