-- The sum of the decimal digits of all numbers below n.
local floor = math.floor

return function(n)
  local total = 0
  for i = 0, n - 1 do
    local rest = i
    while rest ~= 0 do
      total = total + rest % 10
      rest = floor(rest / 10)
    end
  end
  return total
end
