# Two people talk over HF, one message each way and more; nobody else is bothered.
sites    hq field
weather  calm
seed     31
chat

hq     chat ann to bob@field.test "Are you there?"
then   within 2m   field hears "Are you there?"
field  chat bob to ann@hq.test "Yes, all well"
then   within 2m   hq hears "Yes, all well"
hq     chat ann to bob@field.test "First"
hq     chat ann to bob@field.test "Second"
hq     chat ann to bob@field.test "Third"
then   within 3m   field hears "Third"
then   field hears "First" before "Second"
then   field hears "Second" before "Third"
then   field hears 4 texts
hq     types ann to bob@field.test
never  within 2m   field hears typing from ann@hq.test
