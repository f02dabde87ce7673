-- The spectral norm of the first n rows and columns of an infinite matrix, by the power method.
local function times(result, v, n)
  for i = 0, n - 1 do
    local sum = 0
    for j = 0, n - 1 do
      sum = sum + v[j] / ((i + j) * (i + j + 1) / 2 + i + 1)
    end
    result[i] = sum
  end
end

local function times_transposed(result, v, n)
  for i = 0, n - 1 do
    local sum = 0
    for j = 0, n - 1 do
      sum = sum + v[j] / ((i + j) * (i + j + 1) / 2 + j + 1)
    end
    result[i] = sum
  end
end

return function(u, v, w, n)
  for i = 0, n - 1 do
    u[i] = 1.0
  end
  for _ = 1, 10 do
    times(w, u, n)
    times_transposed(v, w, n)
    times(w, v, n)
    times_transposed(u, w, n)
  end
  local uv, vv = 0, 0
  for i = 0, n - 1 do
    uv = uv + u[i] * v[i]
    vv = vv + v[i] * v[i]
  end
  return math.sqrt(uv / vv)
end
