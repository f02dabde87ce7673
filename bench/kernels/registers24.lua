-- Twenty-four values that all live through a loop: each adds the next one, mixed with the round's number.
local bxor = require("bit").bxor

return function(start, n)
  local v0 = start[0]
  local v1 = start[1]
  local v2 = start[2]
  local v3 = start[3]
  local v4 = start[4]
  local v5 = start[5]
  local v6 = start[6]
  local v7 = start[7]
  local v8 = start[8]
  local v9 = start[9]
  local v10 = start[10]
  local v11 = start[11]
  local v12 = start[12]
  local v13 = start[13]
  local v14 = start[14]
  local v15 = start[15]
  local v16 = start[16]
  local v17 = start[17]
  local v18 = start[18]
  local v19 = start[19]
  local v20 = start[20]
  local v21 = start[21]
  local v22 = start[22]
  local v23 = start[23]
  local i = 0LL
  while i < n do
    v0 = v0 + bxor(v1, i)
    v1 = v1 + bxor(v2, i)
    v2 = v2 + bxor(v3, i)
    v3 = v3 + bxor(v4, i)
    v4 = v4 + bxor(v5, i)
    v5 = v5 + bxor(v6, i)
    v6 = v6 + bxor(v7, i)
    v7 = v7 + bxor(v8, i)
    v8 = v8 + bxor(v9, i)
    v9 = v9 + bxor(v10, i)
    v10 = v10 + bxor(v11, i)
    v11 = v11 + bxor(v12, i)
    v12 = v12 + bxor(v13, i)
    v13 = v13 + bxor(v14, i)
    v14 = v14 + bxor(v15, i)
    v15 = v15 + bxor(v16, i)
    v16 = v16 + bxor(v17, i)
    v17 = v17 + bxor(v18, i)
    v18 = v18 + bxor(v19, i)
    v19 = v19 + bxor(v20, i)
    v20 = v20 + bxor(v21, i)
    v21 = v21 + bxor(v22, i)
    v22 = v22 + bxor(v23, i)
    v23 = v23 + bxor(v0, i)
    i = i + 1
  end
  return bxor(v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11,
    v12, v13, v14, v15, v16, v17, v18, v19, v20, v21, v22, v23)
end
