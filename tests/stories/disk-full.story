# The disk is full for half a minute: clients hear 452, nothing is lost, and mail flows again without a restart.
sites    hq field
links    hf
seed     4

hq     mail to=clerk@hq.test "Before"
then   within 1m   hq has "Before"
hq     disk full 30s
wait   1s
hq     mail to=clerk@hq.test "Too much"
then   within 20s  hq refused 452
then   within 5m   hq has "Too much"
hq     disk fails 30s
wait   1s
hq     mail to=clerk@hq.test "Broken"
then   within 5m   hq has "Broken"
then   within 1m   everything is delivered
