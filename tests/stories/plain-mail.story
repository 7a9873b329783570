# A mail crosses the radio, and one comes back.
sites    hq field
weather  calm
seed     1

hq     mail to=watch@field.test "Good morning"
then   within 3m   field has 1 mail from hq
field  mail to=duty@hq.test precedence=priority size=1500 "Situation report"
then   within 3m   hq has 1 mail from field
then   within 3m   everything is delivered
then   hq owes 0 mails
