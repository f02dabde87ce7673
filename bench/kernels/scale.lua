-- A matrix of n rows of n, every number times 10; all of it so many times over.
local tobit = require("bit").tobit

return function(scaled, matrix, n, rounds)
  for _ = 1, rounds do
    for i = 0, n - 1 do
      for j = 0, n - 1 do
        scaled[i * n + j] = tobit(matrix[i * n + j] * 10)
      end
    end
  end
end
