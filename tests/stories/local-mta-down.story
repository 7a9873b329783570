# The local MTA is down for half an hour, then breaks a connection after the text: mail waits, and nothing is lost.
sites    hq field
links    hf
seed     2
retry    1m

hq     mta down 30m
hq     mail to=clerk@hq.test "Waits for the office"
then   within 5m   hq owes 1 mail
never  within 20m  hq has 1 mail
then   hq shows "deferred"
then   within 30m  hq has "Waits for the office"
hq     answers 451 for full@hq.test
hq     mail to=clerk@hq.test,full@hq.test "One mailbox is full"
then   within 5m   hq has 2 mails
then   hq owes 1 mail
wait   10m
hq     answers 250 for full@hq.test
then   within 20m  hq has 3 mails
hq     mta breaks-after-taking 2m
hq     mail to=clerk@hq.test "The line breaks"
then   within 30m  everything is delivered
