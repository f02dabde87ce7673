-- How many bytes of a C program are code, text in quotes and comment: a machine of seven states.
local CODE, SLASH, LINE, BLOCK, STAR, QUOTED, ESCAPED = 0, 1, 2, 3, 4, 5, 6

return function(counts, text, n)
  local code, quoted, comment = 0, 0, 0
  local state = CODE
  for i = 0, n - 1 do
    local c = text[i]
    if state == CODE then
      if c == 0x2f then
        state = SLASH
      elseif c == 0x22 then
        state = QUOTED
      else
        code = code + 1
      end
    elseif state == SLASH then
      if c == 0x2f then
        state = LINE
      elseif c == 0x2a then
        state = BLOCK
      else
        code = code + 2
        state = CODE
      end
    elseif state == LINE then
      if c == 0x0a then
        state = CODE
      else
        comment = comment + 1
      end
    elseif state == BLOCK then
      if c == 0x2a then
        state = STAR
      else
        comment = comment + 1
      end
    elseif state == STAR then
      if c == 0x2f then
        state = CODE
      elseif c ~= 0x2a then
        comment = comment + 1
        state = BLOCK
      end
    elseif state == QUOTED then
      if c == 0x5c then
        state = ESCAPED
      elseif c == 0x22 then
        state = CODE
      else
        quoted = quoted + 1
      end
    elseif state == ESCAPED then
      quoted = quoted + 1
      state = QUOTED
    end
  end
  counts[0], counts[1], counts[2] = code, quoted, comment
end
