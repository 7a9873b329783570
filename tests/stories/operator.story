# An operator holds, releases and reroutes mail, and makes one more urgent.
sites    hq field
links    hf udp
weather  calm
seed     17

hq     link hf down
hq     link udp down
hq     mail to=watch@field.test "Wait"
hq     mail to=watch@field.test "Go"
hq     hold "Wait"
hq     precedence "Go" immediate
hq     link hf up
hq     link udp up
then   within 10m  field has "Go"
never  within 10m  field has "Wait"
then   hq shows "held by the operator"
hq     reroute "Wait" udp
hq     release "Wait"
then   within 10m  field has "Wait"
then   within 5m   everything is delivered
